import path from 'node:path';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import {
  createJob,
  expectOneResultEach,
  expectSums,
  jobEnded,
  numbered,
  resultLines,
  succeededOf,
  SUMS,
} from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { resultRows } from '../support/rows';
import { until } from '../support/wait';

const ITEMS = 1_600;

describe('a batch survives what happens to its workers', () => {
  let product: Product;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
  });
  afterAll(() => product.close());

  test('SIGSTOP past the heartbeat timeout, then SIGCONT: no row that another wrote since is touched, one result per item and right sums', async () => {
    const frozen = await product.startWorker();
    const { id } = await createJob(product, {
      handler: 'tick',
      items: numbered(ITEMS, { ms: 40 }),
      reduce: SUMS,
    });
    const before = await succeededOf(product, id, 100);
    frozen.process.kill('SIGSTOP');
    const other = await product.startWorker();
    // The other one gets on only where the heartbeat timeout has taken the chunks from the frozen one.
    await succeededOf(product, id, before.counts.succeeded + 300);
    const written = await resultRows(product.databaseUrl, id);
    frozen.process.kill('SIGCONT');
    await until('the frozen one to find that it is superseded', () => frozen.log().includes('superseded'));
    await expectOneResultEach(product, id, { total: ITEMS });
    await expectSums(product, id, ITEMS);
    const now = await resultRows(product.databaseUrl, id);
    for (const [index, row] of written) expect(now.get(index)).toBe(row);
    await Promise.all([frozen.stop(), other.stop()]);
  }, 240_000);

  test('SIGTERM hands chunks back at once, and what was done is not done again', async () => {
    const log = path.join(mkdtempSync(path.join(tmpdir(), 'millrace-')), 'executions');
    const worker = await product.startWorker();
    const items = Array.from({ length: 300 }, (_, n) => ({ n, ms: n < 100 ? 0 : 600, log }));
    const { id } = await createJob(product, { handler: 'tick', items });
    const before = await succeededOf(product, id, 100);
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
