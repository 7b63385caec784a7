import path from 'node:path';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createJob, jobEnded, resultLines, type JobBody } from '../support/job-client';
import { type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

const HANDLERS = path.join(__dirname, '../support/handlers');
const ITEMS = 4_000;
const REDUCE = { metrics: { n: { op: 'count' }, sum: { op: 'sum', path: 'output.n' } } };
const SUM = (ITEMS * (ITEMS - 1)) / 2;

interface Summary {
  partial: boolean;
  groups: { metrics: { n: number; sum: number } }[];
}

describe('a batch survives what happens to its workers', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS } });
  });
  afterAll(() => product.close());

  const tickJob = (ms: number): Promise<JobBody> =>
    createJob(product, {
      handler: 'tick',
      items: Array.from({ length: ITEMS }, (_, n) => ({ n, ms })),
      reduce: REDUCE,
    });
  const midway = (id: string, done: number): Promise<JobBody> =>
    until(
      `${done} results of ${id}`,
      async () => {
        const job = await product.json<JobBody>('GET', `/v1/jobs/${id}`);
        return job.counts.succeeded >= done && job;
      },
      120_000,
    );
  const expectExact = async (id: string): Promise<void> => {
    const job = await jobEnded(product, id);
    expect(job).toMatchObject({
      status: 'completed',
      counts: { total: ITEMS, succeeded: ITEMS, failed: 0, pending: 0 },
    });
    const lines = await resultLines(product, id);
    expect(lines.map((line) => line.index)).toEqual(Array.from({ length: ITEMS }, (_, n) => n));
    for (const line of lines) expect(line.output).toEqual({ n: line.index });
    const summary = await product.json<Summary>('GET', `/v1/jobs/${id}/summary`);
    expect(summary).toMatchObject({ partial: false, groups: [{ metrics: { n: ITEMS, sum: SUM } }] });
  };

  test('kill -9 of the worker in mid-batch, then a start again: one result per item and right sums', async () => {
    const first = await product.startWorker();
    const { id } = await tickJob(40);
    await midway(id, 200);
    await first.kill();
    const second = await product.startWorker();
    await expectExact(id);
    await second.stop();
  });

  test('SIGSTOP past the heartbeat timeout while another takes over, then SIGCONT: one result per item and right sums', async () => {
    const frozen = await product.startWorker();
    const { id } = await tickJob(40);
    const before = await midway(id, 200);
    frozen.process.kill('SIGSTOP');
    const other = await product.startWorker();
    // The other one gets on only where the heartbeat timeout has taken the chunks from the frozen one.
    await midway(id, before.counts.succeeded + 1_000);
    frozen.process.kill('SIGCONT');
    await expectExact(id);
    await Promise.all([frozen.stop(), other.stop()]);
  }, 240_000);

  test('SIGTERM hands chunks back at once, and what was done is not done again', async () => {
    const log = path.join(mkdtempSync(path.join(tmpdir(), 'millrace-')), 'executions');
    const worker = await product.startWorker();
    const items = Array.from({ length: 300 }, (_, n) => ({ n, ms: n < 100 ? 0 : 600, log }));
    const { id } = await createJob(product, { handler: 'tick', items, reduce: REDUCE });
    const before = await midway(id, 100);
    expect(await worker.stop()).toBe(0);
    const finished = (await resultLines(product, id)).map((line) => line.index);
    expect(finished.length).toBeGreaterThanOrEqual(before.counts.succeeded);
    const next = await product.startWorker();
    expect(await jobEnded(product, id)).toMatchObject({ status: 'completed', counts: { succeeded: 300 } });
    const runs = new Map<number, number>();
    for (const n of readFileSync(log, 'utf8').trimEnd().split('\n').map(Number))
      runs.set(n, (runs.get(n) ?? 0) + 1);
    for (const index of finished) expect(runs.get(index)).toBe(1);
    await next.stop();
  });
});
