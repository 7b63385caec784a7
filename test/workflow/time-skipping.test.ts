import { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { installQuietRuntime } from '../support/runtime';
import { timeSkippingServerOptions } from '../support/time-skipping';
import { sleeper } from './time-skipping/workflows';

const hourMs = 60 * 60 * 1000;

describe('the time-skipping test server', () => {
  let environment: TestWorkflowEnvironment;

  beforeAll(async () => {
    installQuietRuntime();
    environment = await TestWorkflowEnvironment.createTimeSkipping(await timeSkippingServerOptions());
  });

  afterAll(async () => {
    await environment.teardown();
  });

  // Within the test's time limit of seconds: that is the proof.
  it('lets 27 hours of a workflow pass while the test waits for its result', async () => {
    const worker = await Worker.create({
      connection: environment.nativeConnection,
      taskQueue: 'time-skipping',
      workflowsPath: require.resolve('./time-skipping/workflows'),
    });
    const slept = await worker.runUntil(
      environment.client.workflow.execute(sleeper, {
        workflowId: 'time-skipping/27-hours',
        taskQueue: 'time-skipping',
        args: ['27 hours'],
      }),
    );
    expect(slept).toBeGreaterThanOrEqual(27 * hourMs);
  });
});
