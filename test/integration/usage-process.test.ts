/** Metering in processes of their own, as they end: in good order, and by kill -9. Items are counted by a worker that is killed. */
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { createApiClient } from '../support/api-client';
import { createJob, jobEnded, numbered, succeededOf } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { reservedOf, usedOf } from '../support/usage';
import { until } from '../support/wait';

describe('usage and the end of processes', () => {
  let product: Product;
  let db: PostgresDatabase;

  beforeAll(async () => {
    product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
    db = createDatabase({
      url: product.databaseUrl,
      max: 2,
      applicationName: 'test',
      onIdleError: () => undefined,
    });
  });
  afterAll(async () => {
    await db.close();
    await product.close();
  });

  const requests = (): Promise<number> => usedOf(db, product.tenantId, 'requests');
  const ask = async (url: string, times: number): Promise<void> => {
    const client = createApiClient({ url, key: product.key });
    for (let n = 0; n < times; n++) expect((await client.call('GET', '/v1/me')).status).toBe(200);
  };

  test('an API that is told to stop loses no count, and has noted when its keys were used last', async () => {
    const before = await requests();
    const api = await product.startApi();
    await ask(api.url, 25);
    expect(await api.stop()).toBe(0);
    expect(await requests()).toBe(before + 25);
    const [key] = await db.run<{ last_used_at: Date | null }>({
      name: 'test.last_used',
      text: 'select last_used_at from api_keys',
    });
    expect(key?.last_used_at?.getTime()).toBeGreaterThan(Date.now() - 600_000);
    expect((key?.last_used_at?.getTime() ?? 1) % 60_000).toBe(0);
  });

  test('an API that is killed has lost at most what came after its last flush, and what was written is not undone', async () => {
    const before = await requests();
    const api = await product.startApi();
    await ask(api.url, 40);
    // Nothing but time makes it write, while it goes on.
    await until('the flush', async () => (await requests()) === before + 40);
    await ask(api.url, 10);
    await api.kill();
    const after = await requests();
    expect(after).toBeGreaterThanOrEqual(before + 40);
    expect(after).toBeLessThanOrEqual(before + 50);
    const next = await product.startApi();
    await ask(next.url, 5);
    expect(await next.stop()).toBe(0);
    expect(await requests()).toBe(after + 5);
  });

  test('items are counted once each, though the worker is killed amidst them, and the month holds as many', async () => {
    const client = createApiClient(product);
    const [itemsBefore, reservedBefore] = [
      await usedOf(db, product.tenantId),
      await reservedOf(db, product.tenantId),
    ];
    const first = await product.startWorker();
    const options = { max_rps: 100 };
    const { id } = await createJob(client, { handler: 'echo', items: numbered(300), options });
    await succeededOf(client, id, 50);
    await first.kill();
    await product.startWorker();
    expect(await jobEnded(client, id)).toMatchObject({ status: 'completed', counts: { succeeded: 300 } });
    expect(await usedOf(db, product.tenantId)).toBe(itemsBefore + 300);
    expect(await reservedOf(db, product.tenantId)).toBe(reservedBefore + 300);
    await until('the fold', async () => {
      const [row] = await db.run<{ n: number }>({
        name: 'test.unfolded',
        text: `select count(*)::int as n from usage_deltas where metric = 'items'`,
      });
      return row?.n === 0;
    });
    expect(await usedOf(db, product.tenantId)).toBe(itemsBefore + 300);
  });
});
