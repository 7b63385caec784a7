import { createJob, jobEnded, resultLines } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { declarations, type PythonWorker, startPython } from '../support/python-worker';

describe('an item that ends its Python worker', () => {
  let product: Product;
  let worker: PythonWorker | undefined;
  let over = false;

  /** As whatever runs a worker in earnest: one that ended is started again. */
  async function keepStarted(): Promise<void> {
    while (!over) {
      worker = await startPython(product, 'moody');
      const { process } = worker;
      if (process.exitCode === null && process.signalCode === null) {
        await new Promise((resolve) => process.once('exit', resolve));
      }
    }
  }

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: declarations() } });
    await product.startWorker({ MILLRACE_PUBLIC_URL: product.url });
  }, 180_000);
  afterAll(async () => {
    over = true;
    await worker?.kill();
    await product.close();
  });

  test('costs that item alone, in its own job and in those beside it', async () => {
    const kept = keepStarted();
    const items = (die: boolean) =>
      Array.from({ length: 120 }, (_, n) => ({ n, seconds: 0.5, ...(die && n === 70 && { die }) }));
    const options = { max_concurrency: 50, retry: { max_attempts: 3 } };
    const [poisoned, innocent] = [
      await createJob(product, { handler: 'moody', items: items(true), options }),
      await createJob(product, { handler: 'moody', items: items(false), options }),
    ];
    expect(await jobEnded(product, innocent.id, 240_000)).toMatchObject({
      status: 'completed',
      counts: { succeeded: 120 },
    });
    expect(await jobEnded(product, poisoned.id, 240_000)).toMatchObject({
      status: 'completed_with_errors',
      counts: { succeeded: 119, failed: 1 },
    });
    const lines = await resultLines(product, poisoned.id);
    expect(lines.filter(({ status }) => status === 'failed')).toMatchObject([
      { index: 70, error: { code: 'handler_crashed' } },
    ]);
    over = true;
    await worker?.kill();
    await kept;
  }, 300_000);
});
