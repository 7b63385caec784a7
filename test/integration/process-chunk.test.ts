import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createControlWatch, type ControlWatch } from '../../src/activities/batch/control-watch';
import { createIsolation, type Isolation } from '../../src/activities/batch/isolation';
import { createProcessChunk } from '../../src/activities/batch/process-chunk';
import type { JobOptions } from '../../src/domain/batch/job';
import { type ChunkRef, CLEAN_ITEMS_MIN, LOST_ATTEMPTS_MAX } from '../../src/domain/batch/run';
import type { Handler, HandlerItem, ItemOutcome, RunBatch } from '../../src/domain/handler/contract';
import { AppError } from '../../src/domain/errors';
import { decodeId } from '../../src/domain/ids';
import { type ChunkStore, createChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRateStore } from '../../src/platform/postgres/rate-store';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import type { ChunkReturn } from '../../src/workflows/batch/ports';
import { insertTenant, openTestDatabase } from '../support/database';
import { numbers, queuedJob } from '../support/jobs';
import { installQuietRuntime } from '../support/runtime';
import { until } from '../support/wait';

type RunItems = (items: AsyncIterable<HandlerItem>, batch: RunBatch) => Promise<void>;

const silent = (): void => undefined;
const ok = (index: number): ItemOutcome => ({
  index,
  status: 'succeeded',
  output: '1',
  error: null,
  attempts: 1,
  durationMs: 1,
});
/** As most handlers: one item after the other, as long as more may start. */
const eachWith =
  (work: (item: HandlerItem) => Promise<void>): RunItems =>
  async (items, batch) => {
    for await (const item of items) {
      if (!batch.mayStart()) return;
      batch.onStart(item);
      await work(item);
      batch.onOutcome(ok(item.index));
    }
  };

describe('an attempt at a chunk', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let chunks: ChunkStore;
  let runs: RunStore;
  let watch: ControlWatch;
  let tenantId: string;
  let isolation: Isolation;

  beforeAll(async () => {
    installQuietRuntime();
    ({ db, close } = await openTestDatabase());
    chunks = createChunkStore(db);
    runs = createRunStore(db, createEventStore);
    watch = createControlWatch({ watch: runs.watch, intervalMs: 1_000, onError: silent });
    tenantId = await insertTenant(db);
  });
  beforeEach(() => {
    isolation = createIsolation();
  });
  afterAll(async () => {
    watch.close();
    await close();
  });

  const runningJob = async (items: number, options: Partial<JobOptions> = {}): Promise<ChunkRef> => {
    const ref = await queuedJob(db, { tenantId, inputs: numbers(items), options });
    await runs.begin(ref);
    return { ...ref, no: 0 };
  };
  const suspectedJob = async (items: number): Promise<ChunkRef> => {
    const ref = await runningJob(items);
    for (let n = 0; n < LOST_ATTEMPTS_MAX; n++) await chunks.take(ref);
    return ref;
  };
  const attempt = (ref: ChunkRef, runItems: RunItems, store = chunks): Promise<ChunkReturn> => {
    const handler = { name: 'echo', runItems } as unknown as Handler;
    const processChunk = createProcessChunk({
      chunks: store,
      runs,
      rates: createRateStore(db),
      handlers: { get: () => handler, list: () => [handler] },
      watch,
      isolation,
      progress: { touch: silent, flush: async () => undefined },
      log: { debug: silent, info: silent, warn: silent, error: silent },
      shutdown: new AbortController().signal,
      timeBoxMs: 20_000,
      heartbeatMs: 1_000,
    });
    const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
    return environment.run(processChunk, { ...ref, lane: 0, lanes: 1, nowMs: Date.now() });
  };
  const failures = async (ref: ChunkRef): Promise<{ index: number; code: string }[]> =>
    db.run(
      {
        name: 'test.failures',
        text: `select index, error->>'code' as code from results where job_id = $1 and status = 'failed' order by index`,
      },
      [decodeId('job', ref.jobId)],
    );

  test('an item that the handler leaves without an outcome though nothing stopped it fails as handler_failed', async () => {
    const ref = await runningJob(10);
    const back = await attempt(ref, async (items, batch) => {
      for await (const { index } of items) if (index % 5 > 0) batch.onOutcome(ok(index));
    });
    expect(back).toEqual({ reason: 'done', succeeded: 8, failed: 2 });
    expect(await failures(ref)).toEqual([
      { index: 0, code: 'handler_failed' },
      { index: 5, code: 'handler_failed' },
    ]);
  });

  test('an item that waited and then ended, whatever its attempts are said to be, keeps no chunk waiting', async () => {
    const ref = await runningJob(3);
    const error = { code: 'handler_failed', message: 'not now' };
    const waits = {
      status: 'deferred',
      output: null,
      error,
      attempts: 1,
      durationMs: 1,
      delayMs: 0,
    } as const;
    const back = await attempt(ref, async (items, batch) => {
      for await (const { index } of items) batch.onOutcome({ ...waits, index });
    });
    expect(back).toMatchObject({ reason: 'deferred', succeeded: 0 });
    const again = await attempt(ref, async (items, batch) => {
      for await (const { index } of items)
        batch.onOutcome({ index, status: 'failed', output: null, error, attempts: 1, durationMs: 1 });
    });
    expect(again).toEqual({ reason: 'done', succeeded: 0, failed: 3 });
  });

  test('an attempt that finds more in the row than that the chunk can be taken begins no item', async () => {
    const ref = await runningJob(10, { tolerated_failure: { count: 0 } });
    await db.run(
      { name: 'test.exceeded', text: `update jobs set outcome = 'tolerance_exceeded' where id = $1` },
      [decodeId('job', ref.jobId)],
    );
    let begun = 0;
    const back = await attempt(ref, async (items, batch) => {
      for await (const { index } of items) {
        begun++;
        batch.onOutcome(ok(index));
      }
    });
    expect(back.reason).toBe('exceeded');
    expect(begun).toBe(0);
  });

  test('a database that is away for a moment costs no finished item its result', async () => {
    const ref = await runningJob(5);
    let failures = 2;
    const flaky: ChunkStore = {
      ...chunks,
      write: async (held, outcomes, running) => {
        if (failures-- > 0) throw new AppError('dependency_unavailable', 'The database is away.');
        return chunks.write(held, outcomes, running);
      },
    };
    let runs = 0;
    const back = await attempt(
      ref,
      async (items, batch) => {
        for await (const { index } of items) {
          runs++;
          batch.onOutcome(ok(index));
        }
      },
      flaky,
    );
    expect(back).toEqual({ reason: 'done', succeeded: 5, failed: 0 });
    expect(runs).toBe(5);
  });

  test('a handler that ends before its items do makes the chunk wait, and that is no lost attempt', async () => {
    const ref = await runningJob(10);
    const ended = attempt(ref, async () => undefined);
    await expect(ended).rejects.toMatchObject({
      type: 'internal',
      nonRetryable: false,
      nextRetryDelay: 5_000,
    });
    expect(await chunks.take(ref)).toMatchObject({ lost_attempts: 0 });
  });

  test('never more items are told to be running than the job’s share, however many the handler begins at once', async () => {
    const ref = await runningJob(40, { max_concurrency: 1 });
    const told: number[] = [];
    const listening: ChunkStore = {
      ...chunks,
      write: (held, outcomes, running) => {
        told.push(running);
        return chunks.write(held, outcomes, running);
      },
    };
    const group: RunItems = async (items, batch) => {
      const all: HandlerItem[] = [];
      for await (const item of items) all.push(item);
      for (const item of all) batch.onStart(item);
      await until('the number of running items to be told', () => told.some((running) => running > 0));
      for (const item of all) batch.onOutcome(ok(item.index));
    };
    expect(await attempt(ref, group, listening)).toMatchObject({ reason: 'done', succeeded: 40 });
    expect(Math.max(...told)).toBe(1);
  });

  test('a suspect makes an ordinary attempt hand back after the item it is on, and then has the process alone', async () => {
    const [ordinary, suspect] = [await runningJob(50), await suspectedJob(3)];
    let atWork = 0;
    let most = 0;
    let suspectAsks: Promise<ChunkReturn> | undefined;
    let asked = false;
    const { alone } = isolation;
    isolation.alone = (signal) => {
      const turn = alone.call(isolation, signal);
      asked = true;
      return turn;
    };
    const counted = async (work: () => Promise<void>): Promise<void> => {
      most = Math.max(most, ++atWork);
      await work();
      atWork--;
    };
    const back = await attempt(
      ordinary,
      eachWith(({ index }) =>
        counted(async () => {
          if (index < 5) return;
          suspectAsks ??= attempt(
            suspect,
            eachWith(() => counted(async () => undefined)),
          );
          await until('the suspect to ask', () => asked);
        }),
      ),
    );
    expect(back).toEqual({ reason: 'time_box', succeeded: 6, failed: 0 });
    expect(await suspectAsks).toEqual({ reason: 'done', succeeded: 3, failed: 0 });
    expect(most).toBe(1);
  });

  test('whoever would work beside a suspect is told to come again soon, and that is no lost attempt', async () => {
    const [ordinary, suspect, other] = [await runningJob(50), await suspectedJob(2), await suspectedJob(2)];
    const turnedAway = { type: 'not_its_turn', nonRetryable: false, nextRetryDelay: 1_000 };
    await attempt(
      suspect,
      eachWith(async ({ index }) => {
        if (index > 0) return;
        await expect(
          attempt(
            ordinary,
            eachWith(async () => undefined),
          ),
        ).rejects.toMatchObject(turnedAway);
        await expect(
          attempt(
            other,
            eachWith(async () => undefined),
          ),
        ).rejects.toMatchObject(turnedAway);
      }),
    );
    expect(await chunks.take(ordinary)).toMatchObject({ lost_attempts: 0 });
    expect(await chunks.take(other)).toMatchObject({ lost_attempts: LOST_ATTEMPTS_MAX });
  });

  test('each item of a suspected chunk is marked while it runs, and no longer', async () => {
    const ref = await suspectedJob(3);
    const marks: (number | null)[] = [];
    const look = async (): Promise<void> => {
      const [row] = await db.run<{ marked_index: number | null }>(
        { name: 'test.mark', text: 'select marked_index from chunks where job_id = $1 and no = 0' },
        [decodeId('job', ref.jobId)],
      );
      marks.push(row?.marked_index ?? null);
    };
    await attempt(ref, eachWith(look));
    await look();
    expect(marks).toEqual([0, 1, 2, null]);
  });

  test('after enough items one by one a chunk hands back and runs as any other', async () => {
    const ref = await suspectedJob(CLEAN_ITEMS_MIN * 20);
    const alone: (boolean | undefined)[] = [];
    const noting: RunItems = (items, batch) => {
      alone.push(batch.oneByOne);
      return eachWith(async () => undefined)(items, batch);
    };
    expect(await attempt(ref, noting)).toEqual({ reason: 'time_box', succeeded: CLEAN_ITEMS_MIN, failed: 0 });
    await attempt(ref, noting);
    expect(alone).toEqual([true, false]);
  });
});
