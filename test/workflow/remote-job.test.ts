import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import type { Wanted } from '../../src/workflows/batch/ports';
import { recordHistory } from '../support/history';
import { testNamespace } from '../support/namespace';
import { connectTemporal, type TestTemporal } from '../support/temporal';
import { until } from '../support/wait';

const RUNNING: Wanted = { state: 'running', lanes: 2, expiresInMs: null };

describe('batchJob through a handler in another language', () => {
  let temporal: TestTemporal;

  beforeAll(async () => {
    temporal = await connectTemporal();
  });
  afterAll(() => temporal.close());

  test('each chunk is lent, worked at and taken back; one whose worker failed, and one of a pause, are lent again', async () => {
    const namespace = await testNamespace(temporal.connection);
    const client = new Client({ connection: temporal.connection, namespace });
    const lent: number[] = [];
    const worked: string[] = [];
    const ends: unknown[] = [];
    let wanted = RUNNING;
    const control = {
      batchBegin: async () => ({
        status: 'running',
        wanted: RUNNING,
        handler: 'far-away',
        remote: true,
        total: 400,
        chunkItems: 100,
        firstOpenChunk: 0,
        doneAfter: '',
        succeeded: 0,
        failed: 0,
        itemMaxMs: 1_000,
      }),
      batchReadDesired: async () => wanted,
      batchFinish: async () => ({ status: 'completed', succeeded: 400, failed: 0, cancelled: 0 }),
      batchLendChunk: async ({ no }: { no: number }) => {
        lent.push(no);
        return {
          loan: { chunk: no, token: `t${no}` },
          startToCloseMs: 60_000,
          scheduleToCloseMs: 60_000,
          had: 0,
        };
      },
      batchReclaimChunk: async ({ no, end }: { no: number; end: unknown }) => {
        ends.push(end);
        const turn = lent.filter((one) => one === no).length;
        if (no === 1 && turn === 1) {
          wanted = { ...RUNNING, state: 'paused' };
          return { reason: 'paused', succeeded: 40, failed: 0 };
        }
        return { reason: end === null ? 'time_box' : 'done', succeeded: 100, failed: 0 };
      },
    };
    const far = {
      process_items: async ({ chunk }: { chunk: number }) => {
        worked.push(`t${chunk}`);
        if (chunk === 0 && worked.filter((token) => token === 't0').length === 1) {
          const failure = new Error('the worker is broken');
          throw Object.assign(failure, { name: 'ApplicationFailure', nonRetryable: true });
        }
        return { epoch: 1 };
      },
    };
    const workflowBundle = { codePath: join(__dirname, '../../dist/workflow-bundle.js') };
    const common = { connection: temporal.native, namespace };
    const decisions = await Worker.create({
      ...common,
      taskQueue: 'control',
      workflowBundle,
      activities: control,
    });
    const remote = await Worker.create({ ...common, taskQueue: 'handler.far-away', activities: far });
    const running = Promise.all([decisions.run(), remote.run()]);
    const handle = await client.workflow.start('batchJob', {
      workflowId: randomUUID(),
      taskQueue: 'control',
      args: [{ tenantId: 'tnt_1', jobId: 'job_1' }],
    });
    await until('the pause', () => wanted.state === 'paused');
    wanted = RUNNING;
    await handle.signal('woken');
    expect(await handle.result()).toMatchObject({ status: 'completed' });
    await recordHistory(handle, 'chunks lent to another language');
    decisions.shutdown();
    remote.shutdown();
    await running;
    expect(new Set(lent)).toEqual(new Set([0, 1, 2, 3]));
    expect(lent.filter((no) => no === 1)).toHaveLength(2);
    expect(worked.length).toBeGreaterThanOrEqual(5);
    expect(ends).toContainEqual({ epoch: 1 });
  });
});
