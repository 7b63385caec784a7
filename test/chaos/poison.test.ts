import path from 'node:path';
import { createJob, jobEnded, resultLines } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { type Supervisor, supervise } from '../support/supervisor';

const HANDLERS = path.join(__dirname, '../support/handlers');

describe('an item that ends the process, or never yields, costs nobody but itself', () => {
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

  test('an item that ends the process fails alone as handler_crashed; all others succeed', async () => {
    const items = Array.from({ length: 400 }, (_, n) => ({ n, crash: n === 137 }));
    const { id } = await createJob(product, { handler: 'crash', items });
    await expectCrashed(id, { of: 400, index: 137 });
  }, 300_000);

  test('an item that never yields fails alone as handler_crashed; all others succeed', async () => {
    const items = Array.from({ length: 20 }, (_, n) => ({ n, spin: n === 3 }));
    const { id } = await createJob(product, { handler: 'spin', items });
    await expectCrashed(id, { of: 20, index: 3 });
    expect(supervisor.logs()).toMatch(/"level":"fatal".*the event loop stood still for 5000 ms/);
  }, 300_000);
});
