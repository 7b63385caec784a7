/** Items on demand: at most one is asked for at a time, and none after the batch has said stop. */
import type { HandlerItem, ItemStream, RunBatch } from '../../domain/handler/contract';

export interface ItemFeed {
  /** Up to `count()` items, which is asked when it is the caller's turn; none: there are no more, or none may start. */
  take(count: () => number): Promise<HandlerItem[]>;
  /** Lets an iterator that was not read to its end clean up. */
  close(): Promise<void>;
}

/** Handlers that never wait would keep the event loop, and with it heartbeats, waiting: a pause after so long. */
const BREATHE_EVERY_MS = 15;

export function itemFeed(items: ItemStream | readonly HandlerItem[], batch: RunBatch): ItemFeed {
  const breathe = createBreath();
  const inTurn = createTurn();
  const source = Symbol.asyncIterator in items ? pulled(items, batch) : listed(items, batch);

  async function takeSome(count: number): Promise<HandlerItem[]> {
    if (count === 0) return [];
    await breathe();
    if ('take' in items && items.take !== undefined) return mayStart(batch) ? items.take(count) : [];
    const taken: HandlerItem[] = [];
    while (taken.length < count) {
      const next = source.next();
      // A list answers without a promise, which would cost more than a small item.
      const item = next instanceof Promise ? await next : next;
      if (item === undefined) break;
      taken.push(item);
    }
    return taken;
  }

  return { take: (count) => inTurn(() => takeSome(count())), close: () => source.close() };
}

interface Source {
  next(): Promise<HandlerItem | undefined> | HandlerItem | undefined;
  close(): Promise<void>;
}

function listed(items: readonly HandlerItem[], batch: RunBatch): Source {
  let at = 0;
  return {
    next: () => (mayStart(batch) ? items[at++] : undefined),
    close: async () => undefined,
  };
}

function pulled(items: ItemStream, batch: RunBatch): Source {
  const iterator = items[Symbol.asyncIterator]();
  let ended = false;

  async function pull(): Promise<HandlerItem | undefined> {
    const step = await iterator.next();
    if (step.done) ended = true;
    return !step.done && mayStart(batch) ? step.value : undefined;
  }

  return {
    async next() {
      if (ended || !mayStart(batch)) return undefined;
      return pull().catch((error: unknown) => {
        // An iterator that threw has ended.
        ended = true;
        throw error;
      });
    },
    async close() {
      if (!ended) await iterator.return?.();
    },
  };
}

function mayStart(batch: RunBatch): boolean {
  return !batch.signal.aborted && batch.mayStart();
}

function createBreath(): () => Promise<void> {
  let breathedAt = performance.now();
  return async () => {
    if (performance.now() - breathedAt < BREATHE_EVERY_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    breathedAt = performance.now();
  };
}

/** One after the other: an iterator must not be asked again before it has answered. */
function createTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let turn: Promise<unknown> = Promise.resolve();
  return (work) => {
    const mine = turn.then(work);
    turn = mine.catch(() => undefined);
    return mine;
  };
}
