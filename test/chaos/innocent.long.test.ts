import path from 'node:path';
import { createJob, jobEnded, resultLines } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { type Supervisor, supervise } from '../support/supervisor';

const HANDLERS = path.join(__dirname, '../support/handlers');

describe('blame is certain', () => {
  let product: Product;
  let supervisor: Supervisor;

  beforeAll(async () => {
    product = await startProduct({
      env: { MILLRACE_HANDLERS_DIR: HANDLERS, MILLRACE_FROZEN_LIMIT_MS: '5000' },
    });
    supervisor = supervise(product);
  });
  afterAll(async () => {
    await supervisor.stop();
    await product.close();
  });

  const expectCrashed = async (id: string, { of, index }: { of: number; index: number }): Promise<void> => {
    expect(await jobEnded(product, id, 240_000)).toMatchObject({
      status: 'completed_with_errors',
      counts: { succeeded: of - 1, failed: 1 },
    });
    const failed = (await resultLines(product, id)).filter((line) => line.status === 'failed');
    expect(failed).toMatchObject([{ index, error: { code: 'handler_crashed' } }]);
  };

  test('beside a job that goes on ending the process, no item of another job is blamed', async () => {
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
    await expectCrashed(guilty.id, { of: 22, index: 0 });
  }, 300_000);
});
