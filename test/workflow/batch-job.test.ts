import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { DesiredState, Outcome } from '../../src/domain/batch/status';
import type { BatchEnd, BatchInput } from '../../src/workflows/batch/messages';
import type { BatchPlan, ChunkReturn } from '../../src/workflows/batch/ports';
import { recordHistory } from '../support/history';
import { testNamespace } from '../support/namespace';
import { installQuietRuntime } from '../support/runtime';
import { testServers } from '../support/servers';
import { until } from '../support/wait';

const PLAN: BatchPlan = {
  status: 'running',
  desired: 'running',
  handler: 'echo',
  total: 1_000,
  chunkItems: 100,
  windowChunks: 3,
  firstOpenChunk: 0,
  succeeded: 0,
  failed: 0,
  itemMaxMs: 10_000,
};

/** The engine's other half, as far as a test decides it; what it isn't told, goes well. */
class FakeActivities {
  plan: BatchPlan | null = PLAN;
  desired: DesiredState | 'ended' = 'running';
  begun = 0;
  looks = 0;
  readonly handedOut: number[] = [];
  readonly outcomes: Outcome[] = [];
  atOnce = 0;
  mostAtOnce = 0;
  chunk: (no: number, turn: number) => Promise<ChunkReturn> | ChunkReturn = () => DONE;

  readonly control = {
    batchBegin: async () => {
      this.begun++;
      return this.plan;
    },
    batchReadDesired: async () => {
      this.looks++;
      return this.desired;
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
    batchProcessChunk: async ({ no }: { no: number }) => {
      this.handedOut.push(no);
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce);
      try {
        return await this.chunk(no, this.handedOut.filter((n) => n === no).length);
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
  let connection: Connection;
  let native: NativeConnection;
  let client: Client;
  let namespace: string;
  let fake: FakeActivities;
  let workers: Worker[];
  let running: Promise<unknown>;
  let started: WorkflowHandle[];

  beforeAll(async () => {
    installQuietRuntime();
    connection = await Connection.connect({ address: testServers().temporalAddress });
    native = await NativeConnection.connect({ address: testServers().temporalAddress });
  });
  afterAll(async () => {
    await connection.close();
    await native.close();
  });

  beforeEach(async () => {
    namespace = await testNamespace(connection);
    client = new Client({ connection, namespace });
    fake = new FakeActivities();
    started = [];
    const workflowBundle = { codePath: join(__dirname, '../../dist/workflow-bundle.js') };
    workers = [
      await Worker.create({
        connection: native,
        namespace,
        taskQueue: 'control',
        workflowBundle,
        activities: fake.control,
      }),
      await Worker.create({ connection: native, namespace, taskQueue: 'batch', activities: fake.batch }),
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
    expect(fake.mostAtOnce).toBeLessThanOrEqual(PLAN.windowChunks);
    expect(fake.outcomes).toEqual(['drained']);
    expect(result.status).toBe('completed');
  });

  test('goes on where the rows are: chunks before the first open one are not handed out', async () => {
    fake.plan = { ...PLAN, firstOpenChunk: 7, succeeded: 690, failed: 10 };
    await end(await start());
    expect(fake.handedOut.sort((a, b) => a - b)).toEqual([7, 8, 9]);
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
    fake.desired = 'paused';
    fake.chunk = (_no, turn) => (fake.desired === 'paused' && turn === 1 ? back('paused') : DONE);
    const handle = await start();
    await until(
      'the window to come back',
      () => fake.handedOut.length === PLAN.windowChunks && fake.atOnce === 0,
    );
    const looks = await until('a first look at the row', () => fake.looks > 0 && fake.looks);
    await handle.signal('woken');
    await until('a look for the signal', () => fake.looks > looks);
    expect(fake.handedOut).toHaveLength(PLAN.windowChunks);
    fake.desired = 'running';
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
    await until('a full window', () => fake.atOnce === PLAN.windowChunks);
    fake.desired = 'cancelled';
    await handle.signal('woken');
    release(back('cancelled'));
    expect((await end(handle)).status).toBe('cancelled');
    expect(fake.handedOut).toHaveLength(PLAN.windowChunks);
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

  test('a job that ended behind its back is not driven any further', async () => {
    fake.desired = 'ended';
    fake.chunk = () => back('ended');
    await end(await start());
    expect(fake.handedOut.length).toBeLessThanOrEqual(PLAN.windowChunks);
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
