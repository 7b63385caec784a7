import { createJob, type JobBody, jobEnded, resultLines } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { itemCount } from '../support/rows';
import { until } from '../support/wait';

describe('a second try', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    await product.startWorker();
  });
  afterAll(() => product.close());

  test('does what failed before, under the same names; both jobs can then be deleted with all they hold', async () => {
    const items = Array.from({ length: 300 }, (_, n) => ({
      custom_id: `item-${n}`,
      input: { n, good_at: n % 3 === 0 ? 2 : 1 },
    }));
    const { id } = await createJob(product, { handler: 'flaky', items });
    expect(await jobEnded(product, id)).toMatchObject({
      status: 'completed_with_errors',
      counts: { total: 300, succeeded: 200, failed: 100 },
    });

    const options = { retry: { max_attempts: 2, initial_interval_ms: 10 } };
    const child = await product.json<JobBody>('POST', `/v1/jobs/${id}/retry`, { options });
    expect(child).toMatchObject({ parent_job_id: id, counts: { total: 100, pending: 100 } });
    expect(await jobEnded(product, child.id)).toMatchObject({
      status: 'completed',
      counts: { total: 100, succeeded: 100, failed: 0, cancelled: 0 },
    });
    const lines = await resultLines(product, child.id);
    expect(lines.map(({ index, custom_id, output }) => [index, custom_id, output])).toEqual(
      Array.from({ length: 100 }, (_, i) => [i, `item-${i * 3}`, { n: i * 3, attempt: 2 }]),
    );

    for (const job of [id, child.id]) {
      expect((await product.call('DELETE', `/v1/jobs/${job}`)).status).toBe(204);
      await until(
        'the worker to have purged it',
        async () => (await itemCount(product.databaseUrl, job)) === 0,
      );
      expect((await product.call('GET', `/v1/jobs/${job}/results`)).status).toBe(404);
    }
  });
});
