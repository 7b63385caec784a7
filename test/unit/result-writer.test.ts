import { createItemSource } from '../../src/activities/batch/item-source';
import { ResultWriter, SUB_BATCH_CHARS, SUB_BATCH_ITEMS } from '../../src/activities/batch/result-writer';
import { Stop } from '../../src/activities/batch/stop';
import { AppError } from '../../src/domain/errors';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { until } from '../support/wait';

const MB = 1_048_576;
const ok = (index: number, chars = 1): ItemOutcome => ({
  index,
  status: 'succeeded',
  output: 'x'.repeat(chars),
  error: null,
  attempts: 1,
  durationMs: 1,
});
const charsOf = (outcomes: readonly ItemOutcome[]): number =>
  outcomes.reduce((sum, outcome) => sum + (outcome.output?.length ?? 0), 0);

/** A store whose writes end when the test says so. */
class GatedStore {
  readonly written: ItemOutcome[][] = [];
  readonly errors: unknown[] = [];
  readonly #gates: { resolve(): void; reject(error: Error): void }[] = [];
  #free = false;
  readonly writer = new ResultWriter({
    write: (outcomes) => this.#write(outcomes),
    running: () => 0,
    onWritten: () => undefined,
    onError: (error) => this.errors.push(error),
    intervalMs: 3_600_000,
  });

  get blocked(): number {
    return this.#gates.length;
  }

  get indexes(): number[] {
    return this.written.flat().map((outcome) => outcome.index);
  }

  pass(): void {
    this.#gates.shift()?.resolve();
  }

  fail(error: Error): void {
    this.#gates.shift()?.reject(error);
  }

  passAll(): void {
    this.#free = true;
    while (this.blocked > 0) this.pass();
  }

  async #write(outcomes: readonly ItemOutcome[]): Promise<void> {
    if (!this.#free) await new Promise<void>((resolve, reject) => this.#gates.push({ resolve, reject }));
    this.written.push([...outcomes]);
  }
}

describe('result writer', () => {
  let store: GatedStore;
  beforeEach(() => {
    store = new GatedStore();
  });
  afterEach(() => store.writer.close());

  const sourceOf = (total: number, stop = new Stop()) =>
    createItemSource({
      chunks: {
        readPending: async (_ref, { after, end, limit }) =>
          Array.from({ length: Math.min(limit, end - after - 1) }, (_, n) => ({
            index: after + 1 + n,
            custom_id: null,
            input: '1',
            attempts: 0,
          })),
      },
      ref: { tenantId: 't', jobId: 'j', no: 0 },
      upload: 1,
      fresh: true,
      due: new Date(),
      range: { start: 0, end: total },
      writer: store.writer,
      mayStart: () => stop.reason === undefined,
      gate: { isOpen: true, isReady: true, pass: async () => true },
      onHandOut: () => undefined,
    });
  /** As a handler that is quick at once: the outcome of each item with the item itself. */
  const feed = (total: number, chars: number, stop?: Stop): { given: number; ended: Promise<void> } => {
    const run = async (): Promise<void> => {
      for await (const { index } of sourceOf(total, stop)) {
        fed.given++;
        store.writer.add(ok(index, chars));
      }
    };
    const fed = { given: 0, ended: Promise.resolve() };
    fed.ended = run();
    return fed;
  };

  test.each([
    ['small ones', 10_000, 1],
    ['of a megabyte each', 60, MB],
  ])(
    '%s: while the database stands still no more is handed out than the bound',
    async (_what, total, chars) => {
      const fed = feed(total, chars);
      await until('the feed to stand still', async () => {
        const before = fed.given;
        await new Promise((resolve) => setImmediate(resolve));
        return store.writer.isFull && fed.given === before;
      });
      // One sub-batch is being written, two wait.
      expect(fed.given).toBeLessThanOrEqual(
        3 * Math.min(SUB_BATCH_ITEMS, Math.ceil(SUB_BATCH_CHARS / chars)),
      );
      expect(fed.given).toBeLessThan(total);
      store.passAll();
      await fed.ended;
      await store.writer.flush();
      expect(store.indexes).toEqual(Array.from({ length: total }, (_, n) => n));
    },
  );

  test('no write is larger than a sub-batch, and what does not fit waits for the next, in order', async () => {
    for (let n = 0; n < 25; n++) store.writer.add(ok(n, MB));
    for (let n = 25; n < 4_000; n++) store.writer.add(ok(n));
    store.passAll();
    await store.writer.flush();
    expect(store.indexes).toEqual(Array.from({ length: 4_000 }, (_, n) => n));
    for (const batch of store.written) {
      expect(batch.length).toBeLessThanOrEqual(SUB_BATCH_ITEMS);
      expect(charsOf(batch)).toBeLessThanOrEqual(SUB_BATCH_CHARS);
    }
  });

  test('an output that is longer than a sub-batch goes alone', async () => {
    store.passAll();
    for (const [n, chars] of [1, SUB_BATCH_CHARS + 1, 1].entries()) store.writer.add(ok(n, chars));
    await store.writer.flush();
    expect(store.written.map((batch) => batch.map((outcome) => outcome.output?.length))).toEqual([
      [1],
      [SUB_BATCH_CHARS + 1],
      [1],
    ]);
  });

  test('a write that fails for good is told once; whoever waits for room or the end goes on', async () => {
    for (let n = 0; n < 3 * SUB_BATCH_ITEMS; n++) store.writer.add(ok(n));
    expect(store.writer.isFull).toBe(true);
    const waits = [store.writer.room(), store.writer.flush()];
    const error = new AppError('superseded', 'no more');
    store.fail(error);
    await Promise.all(waits);
    expect(store.errors).toEqual([error]);
    expect(store.written).toEqual([]);
    store.writer.add(ok(1));
    await store.writer.flush();
    expect(store.blocked).toBe(0);
  });

  test('a stop during a blocked write hands out nothing more: it waits for that write and no other', async () => {
    const stop = new Stop();
    const fed = feed(10_000, 1, stop);
    await until('the writer to be full', () => store.writer.isFull);
    const given = fed.given;
    stop.hard('cancelled');
    store.pass();
    await fed.ended;
    expect(fed.given).toBe(given);
    expect(store.written).toHaveLength(1);
  });
});
