import { join } from 'node:path';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { SEARCH_ATTRIBUTE_NAMES } from '../../src/domain/batch/engine';
import type { ChunkArgument, ChunkReturn } from '../../src/workflows/batch/ports';
import { installQuietRuntime } from '../support/runtime';
import { timeSkippingServerOptions } from '../support/time-skipping';

const HOUR_MS = 3_600_000;

describe('batchJob over hours', () => {
  let environment: TestWorkflowEnvironment;

  beforeAll(async () => {
    installQuietRuntime();
    environment = await TestWorkflowEnvironment.createTimeSkipping(await timeSkippingServerOptions());
    // This server can be told of attributes, but not asked for them. 2: keyword.
    await environment.connection.operatorService.addSearchAttributes({
      namespace: 'default',
      searchAttributes: { [SEARCH_ATTRIBUTE_NAMES.status]: 2 },
    });
  });
  afterAll(() => environment.teardown());

  // Within the test's limit of seconds: the wait is a timer of the workflow's, and nothing runs meanwhile.
  test('items that wait ten hours cost one timer, and the clock that is handed over is the workflow’s', async () => {
    const handedOver: number[] = [];
    const plan = {
      status: 'running',
      wanted: { state: 'running', lanes: 1, expiresInMs: null },
      handler: 'echo',
      remote: false,
      total: 10,
      chunkItems: 10,
    };
    const activities = {
      batchBegin: async () => ({
        ...plan,
        firstOpenChunk: 0,
        doneAfter: '',
        succeeded: 0,
        failed: 0,
        itemMaxMs: 1_000,
      }),
      batchReadDesired: async () => plan.wanted,
      batchFinish: async () => ({ status: 'completed', succeeded: 10, failed: 0, cancelled: 0 }),
      batchProcessChunk: async ({ nowMs }: ChunkArgument): Promise<ChunkReturn> => {
        handedOver.push(nowMs);
        return handedOver.length === 1
          ? { reason: 'deferred', succeeded: 9, failed: 0, dueInMs: 10 * HOUR_MS }
          : { reason: 'done', succeeded: 10, failed: 0 };
      },
    };
    const common = { connection: environment.nativeConnection, activities };
    const workflowBundle = { codePath: join(__dirname, '../../dist/workflow-bundle.js') };
    const control = await Worker.create({ ...common, taskQueue: 'control', workflowBundle });
    const chunks = await Worker.create({ ...common, taskQueue: 'batch' });
    const end = await control.runUntil(
      chunks.runUntil(
        environment.client.workflow.execute('batchJob', {
          workflowId: 'waits',
          taskQueue: 'control',
          args: [{ tenantId: 'tnt_1', jobId: 'job_1' }],
        }),
      ),
    );
    expect(end).toMatchObject({ status: 'completed' });
    expect(handedOver).toHaveLength(2);
    expect((handedOver[1] as number) - (handedOver[0] as number)).toBeGreaterThanOrEqual(10 * HOUR_MS);
  });
});
