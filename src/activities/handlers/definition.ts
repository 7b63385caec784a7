/** How a handler is written. `docs/handlers.md` has worked examples. */
import type { z } from 'zod';
import type { HandlerLog } from '../../domain/handler/contract';

/** One item, its input checked and parsed by the handler's `input` schema. */
export interface Item<I> {
  index: number;
  customId: string | null;
  input: I;
  /** The same at each execution of this item: hand it to what must not happen twice. Execution is at least once. */
  idempotencyKey: string;
}

export interface ManyContext<P> {
  /** the job's params, checked and parsed by the handler's `params` schema */
  params: P;
  /** Aborts when the items' time is up, at cancel and at shutdown. */
  signal: AbortSignal;
  log: HandlerLog;
  tenantId: string;
  jobId: string;
  /** from 1 */
  attempt: number;
}

export interface ItemContext<P> extends ManyContext<P> {
  /** of the item */
  idempotencyKey: string;
}

/** What `runMany` answers about one item. */
export type Answer<O> = { output: O } | { error: unknown };

type Parsed<S extends z.ZodType | undefined> = S extends z.ZodType ? z.output<S> : unknown;
type Accepted<S extends z.ZodType | undefined> = S extends z.ZodType ? z.input<S> : unknown;

interface Named<P, I, O> {
  /** lower-case words, digits, - and _ */
  name: string;
  /** one sentence for `GET /handlers` */
  description: string;
  params?: P;
  /** top-level params that are encrypted at rest and never shown */
  secretParams?: readonly string[];
  input?: I;
  output?: O;
}

type Schema = z.ZodType | undefined;

/** A handler that works on one item per call. */
export interface EachDefinition<P extends Schema, I extends Schema, O extends Schema> extends Named<P, I, O> {
  run(item: Item<Parsed<I>>, ctx: ItemContext<Parsed<P>>): Accepted<O> | Promise<Accepted<O>>;
}

/** A handler that works on many items per call: it answers for each, in the order of `items`. */
export interface ManyDefinition<P extends Schema, I extends Schema, O extends Schema> extends Named<P, I, O> {
  /** items per call at most, 100 where not given; never more than the job may have in flight */
  batchSize?: number;
  runMany(
    items: readonly Item<Parsed<I>>[],
    ctx: ManyContext<Parsed<P>>,
  ): readonly Answer<Accepted<O>>[] | Promise<readonly Answer<Accepted<O>>[]>;
}

export type Definition<P extends Schema, I extends Schema, O extends Schema> =
  | EachDefinition<P, I, O>
  | ManyDefinition<P, I, O>;

/** A definition whose types are forgotten, as the machinery sees it: the schemas stand between it and the items. */
export interface AnyDefinition {
  name: string;
  description: string;
  params?: z.ZodType | undefined;
  secretParams?: readonly string[] | undefined;
  input?: z.ZodType | undefined;
  output?: z.ZodType | undefined;
  batchSize?: number | undefined;
  /** either this */
  run?(item: Item<unknown>, ctx: ItemContext<unknown>): unknown;
  /** or this */
  runMany?(items: readonly Item<unknown>[], ctx: ManyContext<unknown>): unknown;
}

export const BATCH_SIZE = 100;
