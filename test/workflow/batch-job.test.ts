import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { encodeDone } from '../../src/domain/batch/done-map';
import type { Outcome } from '../../src/domain/batch/status';
import type { WantedState } from '../../src/domain/batch/wanted';
import type { BatchEnd, BatchInput } from '../../src/workflows/batch/messages';
import type { BatchPlan, ChunkArgument, ChunkReturn, Wanted } from '../../src/workflows/batch/ports';
import { recordHistory } from '../support/history';
import { testNamespace } from '../support/namespace';
import { connectTemporal, type TestTemporal } from '../support/temporal';
import { until } from '../support/wait';

const LANES = 3;
const RUNNING: Wanted = { state: 'running', lanes: LANES, expiresInMs: null };
const wanted = (state: WantedState): Wanted => ({ ...RUNNING, state });

const PLAN: BatchPlan = {
  status: 'running',
  wanted: RUNNING,
  handler: 'echo',
  remote: false,
  total: 1_000,
  chunkItems: 100,
  firstOpenChunk: 0,
  doneAfter: '',
  succeeded: 0,
  failed: 0,
  itemMaxMs: 10_000,
};

/** The engine's other half, as far as a test decides it; what it isn't told, goes well. */
class FakeActivities {
  plan: BatchPlan | null = PLAN;
  wanted: Wanted = RUNNING;
  expired = 0;
  readonly lanes: number[] = [];
  begun = 0;
  looks = 0;
  readonly handedOut: number[] = [];
  readonly outcomes: Outcome[] = [];
  atOnce = 0;
  mostAtOnce = 0;
  chunk: (no: number, turn: number, lane: number) => Promise<ChunkReturn> | ChunkReturn = () => DONE;

  readonly control = {
    batchBegin: async (): Promise<BatchPlan | null> => {
      this.begun++;
      return this.plan;
    },
    batchReadDesired: async () => {
      this.looks++;
      return this.wanted;
    },
    batchExpire: async () => {
      this.expired++;
      this.wanted = wanted('cancelled');
      return this.wanted;
    },
    batchFinish: async ({ outcome }: { outcome: Outcome }) => {
      this.outcomes.push(outcome);
      return {
        status: outcome === 'drained' ? 'completed' : 'cancelled',
        succeeded: 1_000,
        failed: 0,
        cancelled: 0,
      };
    },
  };

  readonly batch = {
    batchProcessChunk: async ({ no, lane }: ChunkArgument) => {
      this.handedOut.push(no);
      this.lanes.push(lane);
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
      try {
        return await this.chunk(no, this.handedOut.filter((n) => n === no).length, lane);
      } finally {
        this.atOnce--;
      }
    },
  };
}

const DONE: ChunkReturn = { reason: 'done', succeeded: 100, failed: 0 };
const ALL = Array.from({ length: 10 }, (_, no) => no);
const back = (reason: ChunkReturn['reason']): ChunkReturn => ({ reason, succeeded: 40, failed: 0 });

describe('batchJob', () => {
  let temporal: TestTemporal;
  let client: Client;
  let namespace: string;
  let fake: FakeActivities;
  let workers: Worker[];
  let running: Promise<unknown>;
  let started: WorkflowHandle[];

  beforeAll(async () => {
    temporal = await connectTemporal();
  });
  afterAll(() => temporal.close());

  beforeEach(async () => {
    namespace = await testNamespace(temporal.connection);
    client = new Client({ connection: temporal.connection, namespace });
    fake = new FakeActivities();
    started = [];
    const workflowBundle = { codePath: join(__dirname, '../../dist/workflow-bundle.js') };
    workers = [
      await Worker.create({
        connection: temporal.native,
        namespace,
        taskQueue: 'control',
        workflowBundle,
        activities: { ...fake.control, batchBegin: () => fake.control.batchBegin() },
      }),
      await Worker.create({
        connection: temporal.native,
        namespace,
        taskQueue: 'batch',
        activities: fake.batch,
      }),
    ];
    running = Promise.all(workers.map((worker) => worker.run()));
  });
  afterEach(async () => {
    const scenario = expect.getState().currentTestName?.replace('batchJob ', '') ?? '';
    for (const [n, handle] of started.entries())
      await recordHistory(handle, n === 0 ? scenario : `${scenario} ${n}`);
    for (const worker of workers) worker.shutdown();
    await running;
  });

  const start = async (input: Partial<BatchInput> = {}): Promise<WorkflowHandle> => {
    const handle = await client.workflow.start('batchJob', {
      workflowId: randomUUID(),
      taskQueue: 'control',
      args: [{ tenantId: 'tnt_1', jobId: 'job_1', ...input }],
    });
    started.push(handle);
    return handle;
  };
  const end = (handle: WorkflowHandle): Promise<BatchEnd> => handle.result() as Promise<BatchEnd>;

  test('hands out every chunk once, never more at once than the window, and finishes as drained', async () => {
    const result = await end(await start());
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual(ALL);
    expect(fake.mostAtOnce).toBeLessThanOrEqual(LANES);
    expect(fake.outcomes).toEqual(['drained']);
    expect(result.status).toBe('completed');
  });

  test('goes on where the rows are: chunks before the first open one are not handed out', async () => {
    fake.plan = { ...PLAN, firstOpenChunk: 7, succeeded: 690, failed: 10 };
    await end(await start());
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual([7, 8, 9]);
  });

  test('what an earlier run did beyond the first open chunk is not handed out again', async () => {
    fake.plan = { ...PLAN, firstOpenChunk: 2, doneAfter: encodeDone([0, 2, 3, 6]), succeeded: 600 };
    await end(await start());
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual([2, 4, 7, 8]);
  });

  test('a first chunk that waits for a slot does not keep a cancelled job from its end', async () => {
    workers[1]?.shutdown();
    await until('the queue of chunks to have no worker', () => workers[1]?.getState() === 'STOPPED');
    fake.wanted = wanted('cancelled');
    const handle = await start({ first: { itemMaxMs: 1_000 } });
    await until('the beginning', () => fake.begun === 1);
    await handle.signal('woken');
    expect((await end(handle)).status).toBe('cancelled');
    workers.splice(1);
  });

  test.each(['time_box', 'shutdown'] as const)(
    'hands a chunk out again that came back for %s',
    async (reason) => {
      fake.chunk = (no, turn) => (no === 4 && turn === 1 ? back(reason) : DONE);
      await end(await start());
      expect(fake.handedOut.filter((no) => no === 4)).toHaveLength(2);
      expect(fake.outcomes).toEqual(['drained']);
    },
  );

  test('a chunk whose items wait is handed out again when they are due, and keeps no place in the window meanwhile', async () => {
    fake.chunk = (no, turn) =>
      no < 3 && turn === 1 ? { reason: 'deferred', succeeded: 90, failed: 0, dueInMs: 1_500 } : DONE;
    await end(await start());
    expect([...fake.handedOut].sort((a, b) => a - b)).toEqual([0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    // All others went first.
    expect(fake.handedOut.slice(-3).sort()).toEqual([0, 1, 2]);
    expect(fake.outcomes).toEqual(['drained']);
  });

  test('a paused job hands nothing out until it is woken, then goes on to the end', async () => {
    fake.wanted = wanted('paused');
    fake.chunk = (_no, turn) => (fake.wanted.state === 'paused' && turn === 1 ? back('paused') : DONE);
    const handle = await start();
    await until('the window to come back', () => fake.handedOut.length === LANES && fake.atOnce === 0);
    const looks = await until('a first look at the row', () => fake.looks > 0 && fake.looks);
    await handle.signal('woken');
    await until('a look for the signal', () => fake.looks > looks);
    expect(fake.handedOut).toHaveLength(LANES);
    fake.wanted = RUNNING;
    await handle.signal('woken');
    await end(handle);
    expect(new Set(fake.handedOut)).toEqual(new Set(ALL));
    expect(fake.outcomes).toEqual(['drained']);
  });

  test('a cancelled job hands nothing more out and waits for what runs', async () => {
    let release: (value: ChunkReturn) => void = () => undefined;
    const held = new Promise<ChunkReturn>((resolve) => {
      release = resolve;
    });
    fake.chunk = () => held;
    const handle = await start();
    await until('a full window', () => fake.atOnce === LANES);
    fake.wanted = wanted('cancelled');
    await handle.signal('woken');
    release(back('cancelled'));
    expect((await end(handle)).status).toBe('cancelled');
    expect(fake.handedOut).toHaveLength(LANES);
    expect(fake.outcomes).toEqual(['cancelled']);
  });

  test('cancelled from Temporal itself, the job still ends as cancelled', async () => {
    fake.chunk = (no) =>
      no < 3 ? DONE : new Promise<ChunkReturn>((resolve) => setTimeout(resolve, 200, back('cancelled')));
    const handle = await start();
    await until('the second window', () => fake.handedOut.length > 3);
    await handle.cancel();
    expect((await end(handle)).status).toBe('cancelled');
    expect(fake.outcomes).toEqual(['cancelled']);
  });

  test('the first chunk of a job that was just sealed is handed out beside the beginning, and once', async () => {
    let begin: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      begin = resolve;
    });
    fake.control.batchBegin = async () => {
      await held;
      return fake.plan;
    };
    const handle = await start({ first: { itemMaxMs: 1_000 } });
    await until('the first chunk', () => fake.handedOut.length === 1);
    begin();
    await end(handle);
    expect(fake.handedOut[0]).toBe(0);
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual(ALL);
    expect(fake.outcomes).toEqual(['drained']);
  });

  test('a job of one chunk ends, also where that comes back together with the beginning', async () => {
    fake.plan = { ...PLAN, total: 100 };
    // The two meet in one activation every few times.
    const handles = await Promise.all(
      Array.from({ length: 30 }, () => start({ first: { itemMaxMs: 1_000 } })),
    );
    started.splice(1);
    await Promise.all(handles.map(end));
    expect(fake.handedOut).toEqual(Array.from({ length: 30 }, () => 0));
  });

  test('a first chunk that was too early, since the job waits for a seat, is handed out again with the others', async () => {
    fake.plan = { ...PLAN, status: 'queued', wanted: wanted('waiting') };
    fake.wanted = wanted('waiting');
    fake.chunk = (no, turn) => (no === 0 && turn === 1 ? back('paused') : DONE);
    const handle = await start({ first: { itemMaxMs: 1_000 } });
    await until('a look at the row', () => fake.looks > 0);
    expect(fake.handedOut).toEqual([0]);
    fake.wanted = RUNNING;
    await handle.signal('woken');
    await end(handle);
    expect(fake.handedOut.filter((no) => no === 0)).toHaveLength(2);
    expect(new Set(fake.handedOut)).toEqual(new Set(ALL));
  });

  test('a job that waits for a seat of its plan hands nothing out until it is woken and has one', async () => {
    fake.plan = { ...PLAN, status: 'queued', wanted: wanted('waiting') };
    fake.wanted = wanted('waiting');
    const handle = await start();
    await until('the job to be begun', () => fake.begun === 1);
    await handle.signal('woken');
    const looks = await until('a look at the row', () => fake.looks > 0 && fake.looks);
    expect(fake.handedOut).toEqual([]);
    fake.wanted = RUNNING;
    await handle.signal('woken');
    await end(handle);
    expect(fake.looks).toBeGreaterThan(looks);
    expect(new Set(fake.handedOut)).toEqual(new Set(ALL));
  });

  test('new limits are seen when it is woken: more lanes at once, and fewer when a chunk finds its lane gone', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let narrowed = false;
    fake.chunk = async (_no, _turn, lane) => {
      await held;
      return narrowed && lane > 0 ? back('narrowed') : DONE;
    };
    const handle = await start();
    await until('a full window', () => fake.atOnce === LANES);
    fake.wanted = { ...RUNNING, lanes: 5 };
    await handle.signal('woken');
    await until('two more lanes', () => fake.atOnce === 5);
    expect([...fake.lanes].sort()).toEqual([0, 1, 2, 3, 4]);
    narrowed = true;
    fake.wanted = { ...RUNNING, lanes: 1 };
    fake.mostAtOnce = 0;
    release();
    await end(handle);
    // Those that were turned away, and all that had not begun, went through the one lane that is left.
    expect(fake.lanes.slice(5)).toEqual(fake.lanes.slice(5).map(() => 0));
    expect(fake.mostAtOnce).toBeLessThanOrEqual(1);
    expect(new Set(fake.handedOut)).toEqual(new Set(ALL));
  });

  test('a chunk whose next item may begin later keeps its lane, and new limits end its wait', async () => {
    fake.plan = { ...PLAN, wanted: { ...RUNNING, lanes: 1 } };
    fake.wanted = { ...RUNNING, lanes: 1 };
    fake.chunk = (no, turn) => (no === 0 && turn === 1 ? { ...back('throttled'), dueInMs: 3_600_000 } : DONE);
    const handle = await start();
    await until('the chunk to come back', () => fake.handedOut.length === 1 && fake.atOnce === 0);
    await handle.signal('woken');
    await end(handle);
    expect(fake.handedOut[1]).not.toBe(undefined);
    expect(fake.handedOut.filter((no) => no === 0)).toHaveLength(2);
    expect(fake.mostAtOnce).toBe(1);
  });

  test('when too much has failed nothing more is handed out, what runs ends by itself, and the job ends so', async () => {
    let release: (value: ChunkReturn) => void = () => undefined;
    const held = new Promise<ChunkReturn>((resolve) => {
      release = resolve;
    });
    fake.chunk = (no) => {
      if (no > 0) return held;
      fake.wanted = wanted('exceeded');
      return back('exceeded');
    };
    const handle = await start();
    await until('a look at the row', () => fake.looks > 0);
    expect(fake.outcomes).toEqual([]);
    release(DONE);
    await end(handle);
    expect(fake.handedOut).toHaveLength(LANES);
    expect(fake.outcomes).toEqual(['tolerance_exceeded']);
  });

  test.each(['running', 'paused', 'waiting'] as const)(
    'a job whose time is up while it is %s is told so, what runs is called back, and it ends',
    async (state) => {
      fake.plan = { ...PLAN, wanted: { ...wanted(state), expiresInMs: 300 } };
      fake.wanted = wanted(state);
      fake.chunk = () => new Promise<ChunkReturn>((resolve) => setTimeout(resolve, 1_000, back('cancelled')));
      await end(await start());
      expect(fake.expired).toBe(1);
      expect(fake.handedOut).toHaveLength(state === 'running' ? LANES : 0);
      expect(fake.outcomes).toHaveLength(1);
    },
  );

  test('paused, given new limits, with a chunk that failed, handed to a new run and cancelled: all in one life', async () => {
    let failures = 0;
    const done = new Set<number>();
    fake.chunk = async (no) => {
      if (no === 2 && failures++ === 0) throw new Error('the database is away');
      if (fake.wanted.state === 'paused') return back('paused');
      if (no >= 8) return new Promise<ChunkReturn>((resolve) => setTimeout(resolve, 500, back('cancelled')));
      done.add(no);
      let firstOpenChunk = 0;
      while (done.has(firstOpenChunk)) firstOpenChunk++;
      fake.plan = { ...PLAN, wanted: fake.wanted, firstOpenChunk, succeeded: firstOpenChunk * 100 };
      return DONE;
    };
    const handle = await start({ runEventsMax: 40 });
    await until('first chunks', () => fake.handedOut.length >= LANES);
    fake.wanted = wanted('paused');
    await handle.signal('woken');
    await until('a look', () => fake.looks > 0);
    fake.wanted = { ...RUNNING, lanes: 2 };
    await handle.signal('woken');
    await until('the last chunks', () => done.size === 8 && fake.atOnce > 0);
    fake.wanted = wanted('cancelled');
    await handle.signal('woken');
    expect((await end(handle)).status).toBe('cancelled');
    expect(failures).toBeGreaterThan(1);
    expect(fake.begun).toBeGreaterThan(1);
    expect(fake.outcomes).toEqual(['cancelled']);
  });

  test('a job that ended behind its back is not driven any further', async () => {
    fake.wanted = wanted('ended');
    fake.chunk = () => back('ended');
    await end(await start());
    expect(fake.handedOut.length).toBeLessThanOrEqual(LANES);
  });

  test('a job that is gone or has ended is left alone', async () => {
    fake.plan = null;
    expect((await end(await start())).status).toBe('cancelled');
    fake.plan = { ...PLAN, status: 'completed', succeeded: 1_000 };
    expect(await end(await start())).toMatchObject({ status: 'completed', succeeded: 1_000 });
    expect(fake.handedOut).toEqual([]);
    expect(fake.outcomes).toEqual([]);
  });

  test('a job that was already finalizing is finished without a chunk', async () => {
    fake.plan = { ...PLAN, status: 'finalizing' };
    await end(await start());
    expect(fake.handedOut).toEqual([]);
    expect(fake.outcomes).toHaveLength(1);
  });

  test('a long history is handed to a new run, and no chunk is lost or done twice by that', async () => {
    const done = new Set<number>();
    fake.chunk = (no) => {
      done.add(no);
      let firstOpenChunk = 0;
      while (done.has(firstOpenChunk)) firstOpenChunk++;
      fake.plan = { ...PLAN, firstOpenChunk, succeeded: firstOpenChunk * 100 };
      return DONE;
    };
    const handle = await start({ runEventsMax: 25 });
    await end(handle);
    expect(fake.begun).toBeGreaterThan(1);
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual(ALL);
    expect(fake.outcomes).toEqual(['drained']);
  });

  test('progress answers what the finished chunks came to, also after the end', async () => {
    let release: (value: ChunkReturn) => void = () => undefined;
    const last = new Promise<ChunkReturn>((resolve) => {
      release = resolve;
    });
    fake.chunk = (no) => (no === 9 ? last : { reason: 'done', succeeded: 90, failed: 10 });
    const handle = await start();
    const counts = await until('nine chunks', async () => {
      const now = await handle.query<{ succeeded: number; failed: number }>('progress');
      return now.succeeded + now.failed === 900 ? now : undefined;
    });
    expect(counts).toEqual({
      total: 1_000,
      pending: 0,
      running: 100,
      succeeded: 810,
      failed: 90,
      cancelled: 0,
    });
    release(DONE);
    await end(handle);
    expect(await handle.query('progress')).toMatchObject({
      total: 1_000,
      pending: 0,
      running: 0,
      succeeded: 1_000,
    });
  });

  test('an operator reads job, handler and progress in the workflow’s details', async () => {
    const handle = await start();
    await end(handle);
    const { currentDetails } = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    for (const part of ['job_1', 'tnt_1', '`echo`', 'completed', '1000'])
      expect(currentDetails).toContain(part);
  });
});
