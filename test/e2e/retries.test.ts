import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createJob, jobEnded, type JobBody, resultLines } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

const HANDLERS = path.join(__dirname, '../support/handlers');

describe('items that are tried again', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS } });
    await product.startWorker();
  });
  afterAll(() => product.close());

  test('long waits are kept by the workflow: each item has the attempts that it needed, or fails with all of them used', async () => {
    const items = Array.from({ length: 60 }, (_, n) => ({ n, good_at: (n % 4) + 1 }));
    const { id } = await createJob(product, {
      handler: 'flaky',
      items,
      options: { retry: { max_attempts: 3, initial_interval_ms: 1_500, backoff_coefficient: 1 } },
    });
    expect(await jobEnded(product, id)).toMatchObject({
      status: 'completed_with_errors',
      counts: { total: 60, succeeded: 45, failed: 15, pending: 0 },
    });
    for (const line of await resultLines(product, id)) {
      const needed = (line.index % 4) + 1;
      expect(line).toMatchObject(
        needed <= 3
          ? { status: 'succeeded', attempts: needed, output: { n: line.index, attempt: needed } }
          : { status: 'failed', attempts: 3, error: { code: 'handler_failed' } },
      );
    }
  });

  test('however many items wait for hours, other jobs run, and a cancel ends the waiting at once', async () => {
    const options = {
      retry: { max_attempts: 2, initial_interval_ms: 3_600_000, max_interval_ms: 3_600_000 },
    };
    const log = path.join(mkdtempSync(path.join(tmpdir(), 'millrace-')), 'attempts');
    const items = Array.from({ length: 1_000 }, (_, n) => ({ n, good_at: 2, log }));
    const waiting = await Promise.all(
      Array.from({ length: 6 }, () => createJob(product, { handler: 'flaky', items, options })),
    );
    // Tried once each and waiting: nothing is running, nothing has ended.
    await until('the first attempts', () => lines(log) === 6_000);
    for (const { id } of waiting) {
      await until('the waiting', async () => {
        const { counts } = await product.json<JobBody>('GET', `/v1/jobs/${id}`);
        return counts.running === 0 && counts.pending === 1_000;
      });
    }
    const echo = await createJob(product, { handler: 'echo', items: [1] });
    expect(await jobEnded(product, echo.id, 10_000)).toMatchObject({ status: 'completed' });
    for (const { id } of waiting) {
      await product.json('POST', `/v1/jobs/${id}/cancel`);
      expect(await jobEnded(product, id, 10_000)).toMatchObject({
        status: 'cancelled',
        counts: { cancelled: 1_000 },
      });
    }
    expect(lines(log)).toBe(6_000);
  });
});

function lines(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}
