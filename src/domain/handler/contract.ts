/**
 * What the engine and the API know of a handler: one interface, however the handler was written.
 * The engine hands over items as exact JSON text and gets exact JSON text back.
 */
import type { ItemError, JobOptions, Json } from '../batch/job';

/** One item as the engine hands it over. */
export interface HandlerItem {
  index: number;
  customId: string | null;
  /** exact JSON text */
  inputText: string;
  /** attempts made before, in earlier turns of its chunk; not given: none */
  attempts?: number | undefined;
  /** the same at each execution of this item: execution is at least once */
  idempotencyKey: string;
}

export interface ItemOutcome {
  index: number;
  /** deferred: failed, and to be tried again after `delayMs`, by somebody else */
  status: 'succeeded' | 'failed' | 'deferred';
  /** exact JSON text, storable, at most `OUTPUT_BYTES_MAX`; null where the item failed */
  output: string | null;
  error: ItemError | null;
  attempts: number;
  durationMs: number;
  /** deferred only: the wait that the retry policy demands */
  delayMs?: number;
  /** deferred only: set by the engine, which knows the workflow's clock */
  dueAt?: Date;
}

/** The part of a structured logger that handlers may use. */
export interface HandlerLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Items as the engine has them: one by one, or many with one promise. */
export interface ItemStream extends AsyncIterable<HandlerItem> {
  /** Up to `count`; none: there are no more, or none may start. One call at a time. */
  take?(count: number): Promise<HandlerItem[]>;
}

/** How many items may be in flight: at least one, and another number at another time. */
export interface Concurrency {
  now(): number;
  /** @returns the end of it */
  onChange(listener: () => void): () => void;
}

/** One call of the engine: the items of a chunk (or a part of them) and how they are to be run. */
export interface RunBatch {
  tenantId: string;
  jobId: string;
  params: Json;
  options: JobOptions;
  concurrency: Concurrency;
  /** Cancel or shutdown: running items end without an outcome. */
  signal: AbortSignal;
  log: HandlerLog;
  /** One item after the other, each in a call of its own and pulled from `items` only when the former has ended. */
  oneByOne?: boolean | undefined;
  /** Asked before each item; false: no new item is begun (pause, time box), those running end in peace. */
  mayStart(): boolean;
  /** Awaited before an item is attempted again. False: not now and not here, the item is to be deferred. */
  admit?(): Promise<boolean>;
  /** An item begins. It may still end without an outcome, see `signal`. */
  onStart(item: HandlerItem): void;
  /** An item has ended; in any order, once per item. Must not throw. */
  onOutcome(outcome: ItemOutcome): void;
}

export interface Handler {
  readonly name: string;
  readonly description: string;
  /** JSON Schema (draft 2020-12) each, or null where anything goes */
  readonly paramsSchema: Json;
  readonly inputSchema: Json;
  readonly outputSchema: Json;
  /**
   * Params that are encrypted at rest and never shown: `name` of a top-level one, or `name.field` (in lower case, meant in any)
   * of a field of one. `validateParams` and `runItems` get them in clear.
   */
  readonly secretParams?: readonly string[] | undefined;
  /** @throws AppError `invalid_params` or `invalid_expression` */
  validateParams(params: Json): Promise<void>;
  /**
   * Runs items until they end, `mayStart` says no or `signal` aborts; items without an outcome are the engine's to
   * run again. Never throws for what an item or the handler's own code does, only for params that
   * `validateParams` refuses and for what `items` itself throws.
   */
  runItems(items: ItemStream | readonly HandlerItem[], batch: RunBatch): Promise<void>;
  /** Served by other processes (./remote.ts): its chunks are lent out, and `runItems` is never called. */
  readonly remote?: true;
}

export interface HandlerRegistry {
  get(name: string): Handler | undefined;
  /** in order of name */
  list(): readonly Handler[];
}

/** JSON text of an output, in bytes of UTF-8. */
export const OUTPUT_BYTES_MAX = 1_048_576;
/** Characters of an error's message in a result. */
export const ERROR_MESSAGE_MAX = 1_000;
