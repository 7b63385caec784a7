import { createJob, jobEnded, type ResultLine, resultLines } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';

const ITEMS = 60;
/** In this order, one by one; and after the first ten so slowly that many are left when it is seen what failed. */
const ONE_BY_ONE = { max_concurrency: 1 };
const QUICK = 10;

describe('tolerated_failure, and the retry of what did not succeed', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    await product.startWorker();
  });
  afterAll(() => product.close());

  /** Items of which those at `failing` fail at their first attempt; their names are not their indexes. */
  const flakyJob = async (failing: readonly number[], options: object, ms = 0): Promise<string> => {
    const items = Array.from({ length: ITEMS }, (_, n) => ({
      custom_id: `c${n}`,
      input: { n, good_at: failing.includes(n) ? 2 : 1, ms: n < QUICK ? 0 : ms },
    }));
    return (await createJob(product, { handler: 'flaky', items, options })).id;
  };
  const last = (count: number): number[] => Array.from({ length: count }, (_, i) => ITEMS - count + i);

  test.each([
    ['a count', { count: 3 }, 3],
    ['a percentage', { percentage: 5 }, 3],
    ['the smaller of both', { count: 10, percentage: 5 }, 3],
    ['none at all', { count: 0 }, 0],
  ])('failures of exactly %s are borne: the job completes with errors', async (_what, tolerated, limit) => {
    const failing = [0, 20, ITEMS - 1].slice(0, limit);
    const id = await flakyJob(failing, { tolerated_failure: tolerated });
    expect(await jobEnded(product, id)).toMatchObject({
      status: limit === 0 ? 'completed' : 'completed_with_errors',
      error: null,
      counts: { total: ITEMS, succeeded: ITEMS - limit, failed: limit, cancelled: 0 },
    });
  });

  test.each([
    ['a count', { count: 3 }, 4],
    ['a percentage', { percentage: 5 }, 4],
    ['none at all', { count: 0 }, 1],
  ])(
    'one failure over %s fails the job; results stay, the rest is cancelled',
    async (_what, tolerated, failures) => {
      const failing = Array.from({ length: failures }, (_, n) => 2 * n);
      const id = await flakyJob(failing, { tolerated_failure: tolerated, ...ONE_BY_ONE }, 1_000);
      const job = await jobEnded(product, id);
      expect(job).toMatchObject({
        status: 'failed',
        error: { code: 'tolerated_failure_exceeded' },
        counts: { total: ITEMS, failed: failures, pending: 0, running: 0 },
      });
      const { succeeded, cancelled } = job.counts;
      expect(succeeded).toBeGreaterThanOrEqual(failures - 1);
      expect(cancelled).toBeGreaterThan(0);
      expect(succeeded + cancelled + failures).toBe(ITEMS);
      const lines = await resultLines(product, id);
      expect(lines.map(({ index }) => index)).toEqual(Array.from({ length: ITEMS }, (_, n) => n));
      expect(ofStatus(lines, 'failed').map(({ index }) => index)).toEqual(failing);
      expect(ofStatus(lines, 'succeeded')).toHaveLength(succeeded);
      expect(ofStatus(lines, 'cancelled')).toHaveLength(cancelled);
    },
  );

  test.each([
    ['a count', { count: 2 }],
    ['a percentage', { percentage: 4 }],
  ])(
    'the one failure over %s fails the job also where it is the very last item',
    async (_what, tolerated) => {
      const id = await flakyJob(last(3), { tolerated_failure: tolerated, ...ONE_BY_ONE });
      expect(await jobEnded(product, id)).toMatchObject({
        status: 'failed',
        error: { code: 'tolerated_failure_exceeded' },
        counts: { total: ITEMS, succeeded: ITEMS - 3, failed: 3, cancelled: 0 },
      });
    },
  );

  test('a retry runs what failed and what was cancelled, under the same names, and with its parent has one success per item', async () => {
    const parent = await flakyJob([5, 6], { tolerated_failure: { count: 1 }, ...ONE_BY_ONE }, 300);
    const { counts } = await jobEnded(product, parent);
    expect(counts).toMatchObject({ total: ITEMS, failed: 2 });
    expect(counts.cancelled).toBeGreaterThan(0);
    const { id } = await product.json<{ id: string }>('POST', `/v1/jobs/${parent}/retry`, {
      options: { retry: { max_attempts: 2 }, max_concurrency: null },
    });
    const total = counts.failed + counts.cancelled;
    expect(await jobEnded(product, id)).toMatchObject({
      status: 'completed',
      parent_job_id: parent,
      counts: { total, succeeded: total, failed: 0, cancelled: 0 },
    });
    const retried = await resultLines(product, id);
    expect(retried.map(({ index }) => index)).toEqual(Array.from({ length: total }, (_, n) => n));
    const successes = [...ofStatus(await resultLines(product, parent), 'succeeded'), ...retried];
    const named = successes.map(({ custom_id, output }) => ({ custom_id, n: (output as { n: number }).n }));
    expect(named.sort((a, b) => a.n - b.n)).toEqual(
      Array.from({ length: ITEMS }, (_, n) => ({ custom_id: `c${n}`, n })),
    );
  });

  test('what fails in a retry is retried from there', async () => {
    const first = await flakyJob([1, 2, 3], {});
    expect(await jobEnded(product, first)).toMatchObject({
      status: 'completed_with_errors',
      counts: { failed: 3 },
    });
    const second = await product.json<{ id: string }>('POST', `/v1/jobs/${first}/retry`);
    expect(await jobEnded(product, second.id)).toMatchObject({
      status: 'completed_with_errors',
      counts: { total: 3, failed: 3 },
    });
    const third = await product.json<{ id: string }>('POST', `/v1/jobs/${second.id}/retry`, {
      options: { retry: { max_attempts: 2 } },
    });
    expect(await jobEnded(product, third.id)).toMatchObject({
      status: 'completed',
      parent_job_id: second.id,
      counts: { total: 3, succeeded: 3 },
    });
    expect((await resultLines(product, third.id)).map(({ custom_id }) => custom_id)).toEqual([
      'c1',
      'c2',
      'c3',
    ]);
  });
});

function ofStatus(lines: readonly ResultLine[], status: ResultLine['status']): ResultLine[] {
  return lines.filter((line) => line.status === status);
}
