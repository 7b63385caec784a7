/** Items on demand: at most one is asked for at a time, and none after the batch has said stop. */
import type { HandlerItem, RunBatch } from '../../domain/handler/contract';

export interface ItemSource {
  /** Up to `count` items; none: there are no more, or none may start. */
  take(count: number): Promise<HandlerItem[]>;
  /** Lets an iterator that was not read to its end clean up. */
  close(): Promise<void>;
}

/** Handlers that never wait would keep the event loop, and with it heartbeats, waiting: a pause after so long. */
const BREATHE_EVERY_MS = 15;

export function createItemSource(
  items: AsyncIterable<HandlerItem> | readonly HandlerItem[],
  batch: RunBatch,
): ItemSource {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : undefined;
  const list = iterator ? [] : (items as readonly HandlerItem[]);
  let at = 0;
  let ended = false;
  let turn: Promise<unknown> = Promise.resolve();
  let breathedAt = performance.now();

  const mayStart = (): boolean => !ended && !batch.signal.aborted && batch.mayStart();

  async function breathe(): Promise<void> {
    if (performance.now() - breathedAt < BREATHE_EVERY_MS) return;
    await new Promise((resolve) => setImmediate(resolve));
    breathedAt = performance.now();
  }

  async function pull(next: AsyncIterator<HandlerItem>): Promise<HandlerItem | undefined> {
    if (!mayStart()) return undefined;
    const step = await next.next();
    if (step.done) ended = true;
    return !step.done && mayStart() ? step.value : undefined;
  }

  async function takeSome(count: number): Promise<HandlerItem[]> {
    await breathe();
    const taken: HandlerItem[] = [];
    while (taken.length < count) {
      const item = iterator ? await pull(iterator) : mayStart() ? list[at++] : undefined;
      if (item === undefined) break;
      taken.push(item);
    }
    return taken;
  }

  /** One after the other: an iterator must not be asked again before it has answered. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = turn.then(work);
    turn = mine.catch(() => {
      ended = true;
    });
    return mine;
  }

  return {
    take: (count) => inTurn(() => takeSome(count)),
    async close() {
      if (!ended) await iterator?.return?.();
    },
  };
}
