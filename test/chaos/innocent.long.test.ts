import { createJob, expectCrashed, jobEnded } from '../support/job-client';
import { startSupervised, type SupervisedProduct } from '../support/supervisor';

describe('blame is certain', () => {
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    supervised = await startSupervised({ env: { MILLRACE_FROZEN_LIMIT_MS: '5000' } });
  });
  afterAll(() => supervised.close());

  test('beside a job that goes on ending the process, no item of another job is blamed', async () => {
    const { product } = supervised;
    // Its items outlive the crashes: it never writes a result in time, and runs item by item while the other goes on.
    const slow = Array.from({ length: 6 }, (_, n) => ({ n, ms: 3_000 }));
    const innocent = await createJob(product, { handler: 'crash', items: slow });
    // One lane goes on writing results while the other is on its way to a crash, so this chunk is not suspected for long.
    const items = Array.from({ length: 22 }, (_, n) => ({ n, ms: n === 0 ? 1_500 : 200, crash: n === 0 }));
    const guilty = await createJob(product, { handler: 'crash', items, options: { max_concurrency: 2 } });
    expect(await jobEnded(product, innocent.id, 240_000)).toMatchObject({
      status: 'completed',
      counts: { succeeded: 6, failed: 0 },
    });
    await expectCrashed(product, guilty.id, { of: 22, index: 0 });
  }, 300_000);
});
