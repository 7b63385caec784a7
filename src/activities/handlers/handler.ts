/** The contract between the engine and the handlers; its words live in the domain, where the API finds them too. */
export type {
  Handler,
  HandlerItem,
  HandlerLog,
  HandlerRegistry,
  ItemOutcome,
  RunBatch,
} from '../../domain/handler/contract';
