import path from 'node:path';
import { EventSource } from 'eventsource';
import { createJob, jobEnded, type JobBody, resultLines } from '../support/job-client';
import { type Product, type Role, startProduct } from '../support/product';
import { until } from '../support/wait';

const HANDLERS = path.join(__dirname, '../support/handlers');

describe('the life of a job', () => {
  let product: Product;
  let worker: Role;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS } });
    worker = await product.startWorker();
  });
  afterAll(() => product.close());

  const cancel = (id: string): Promise<JobBody> => product.json('POST', `/v1/jobs/${id}/cancel`);

  test('cancel takes effect on a running job whose items take 30 s each: results stay, the rest is cancelled, not failed', async () => {
    const items = Array.from({ length: 200 }, (_, n) => ({ n, ms: n < 10 ? 0 : 30_000 }));
    const { id } = await createJob(product, { handler: 'tick', items, options: { item_timeout_ms: 60_000 } });
    await until('the quick ones', async () => {
      const job = await product.json<JobBody>('GET', `/v1/jobs/${id}`);
      return job.counts.succeeded === 10 && job.counts.running > 0;
    });
    const askedAt = Date.now();
    expect((await cancel(id)).status).toBe('cancelling');
    const job = await jobEnded(product, id);
    // The guarantee is 2 s; five times that tells it from an item's 30 s on any machine.
    expect(Date.now() - askedAt).toBeLessThan(10_000);
    expect(job).toMatchObject({
      status: 'cancelled',
      counts: { total: 200, succeeded: 10, failed: 0, cancelled: 190, pending: 0, running: 0 },
    });
    const lines = await resultLines(product, id);
    expect(lines).toHaveLength(200);
    expect(lines.filter((line) => line.status === 'cancelled')).toHaveLength(190);
    expect((await cancel(id)).status).toBe('cancelled');
  });

  test('a job that was never started ends at once', async () => {
    const { id } = await createJob(product, { handler: 'echo' });
    expect((await cancel(id)).status).toBe('cancelled');
    const start = await product.call('POST', `/v1/jobs/${id}/start`);
    expect(start.status).toBe(409);
    expect(await start.json()).toMatchObject({ code: 'job_already_ended' });
  });

  test('a job that has completed answers 409 and stays as it is', async () => {
    const { id } = await createJob(product, { handler: 'echo', items: [1] });
    await jobEnded(product, id);
    const response = await product.call('POST', `/v1/jobs/${id}/cancel`);
    expect(response.status).toBe(409);
    expect(await product.json('GET', `/v1/jobs/${id}`)).toMatchObject({ status: 'completed' });
  });

  test('cancel, asked while no worker runs, it is done when one does', async () => {
    await worker.stop();
    const { id } = await createJob(product, { handler: 'echo', items: [1, 2] });
    expect((await cancel(id)).status).toBe('cancelling');
    worker = await product.startWorker();
    expect(await jobEnded(product, id)).toMatchObject({ status: 'cancelled', counts: { cancelled: 2 } });
  });

  test('a subscriber sees the whole life of a job: snapshot, status, progress that only grows, done', async () => {
    const { id } = await createJob(product, { handler: 'transform', params: { expression: '$' } });
    const seen: {
      event: string;
      data: { status?: string; type?: string; counts?: { succeeded: number } };
    }[] = [];
    const source = new EventSource(`${product.url}/v1/jobs/${id}/events`, {
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...init?.headers, authorization: `Bearer ${product.key}` } }),
    });
    for (const event of ['snapshot', 'progress', 'status', 'done']) {
      source.addEventListener(event, ({ data }) =>
        seen.push({ event, data: JSON.parse(data as string) as never }),
      );
    }
    await until('the snapshot', () => seen.length > 0);
    const ndjson = Array.from({ length: 20_000 }, (_, n) => `${n}\n`).join('');
    await product.call('PUT', `/v1/jobs/${id}/items`, ndjson, { 'content-type': 'application/x-ndjson' });
    await product.json('POST', `/v1/jobs/${id}/start`);
    await until('done', () => seen.some(({ event }) => event === 'done'), 90_000);
    source.close();
    expect(seen[0]?.event).toBe('snapshot');
    // The creation comes by the relay, before or after the subscriber.
    const statuses = seen.filter(({ event }) => event === 'status').map(({ data }) => data.type);
    expect(statuses.filter((type) => type !== 'job.created')).toEqual(['job.queued', 'job.started']);
    const progress = seen
      .filter(({ event }) => event === 'progress')
      .map(({ data }) => data.counts?.succeeded ?? -1);
    expect(progress.at(-1)).toBe(20_000);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(seen.at(-1)).toMatchObject({
      event: 'done',
      data: { status: 'completed', counts: { succeeded: 20_000 } },
    });
  });
});
