import { decodeId } from '../../src/domain/ids';
import { withClient } from '../../tools/servers/postgres';
import { type ApiClient, createTenant } from '../support/api-client';
import { createJob, jobEnded, jobThat, numbered } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

let product: Product;

beforeAll(async () => {
  product = await startProduct({ env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
  await product.startWorker();
});
afterAll(() => product.close());

/** Rows of these jobs that are left anywhere. */
async function rowsLeft(jobIds: readonly string[]): Promise<number> {
  const text = `select (select count(*) from jobs where id = any($1)) + (select count(*) from items where job_id = any($1))
    + (select count(*) from results where job_id = any($1)) + (select count(*) from chunks where job_id = any($1))
    + (select count(*) from job_remains where job_id = any($1)) as n`;
  const ids = jobIds.map((id) => decodeId('job', id));
  return withClient(product.databaseUrl, async (client) => {
    const { rows } = await client.query<{ n: string }>(text, [ids]);
    return Number(rows[0]?.n);
  });
}

const tenantOf = async (client: ApiClient): Promise<string> =>
  (await client.json<{ tenant: { id: string } }>('GET', '/v1/me')).tenant.id;

test('of a deleted tenant nothing is left: what runs is stopped, what has ended goes, keys are refused', async () => {
  const client = await createTenant(product, 'premium');
  const tenantId = await tenantOf(client);
  const ended = await createJob(client, { handler: 'echo', items: numbered(20) });
  await jobEnded(client, ended.id);
  const slow = await createJob(client, {
    handler: 'tick',
    items: numbered(50, { ms: 30_000 }),
    options: { item_timeout_ms: 60_000 },
  });
  const waiting = await createJob(client, { handler: 'echo' });
  const running = ({ counts }: { counts: { running: number } }): boolean => counts.running > 0;
  await jobThat(client, slow.id, { what: 'items in flight', fits: running });
  const others = await createJob(product, { handler: 'echo', items: numbered(5) });

  expect((await product.call('DELETE', `/v1/tenants/${tenantId}`)).status).toBe(204);
  await until('the key to be refused', async () => (await client.call('GET', '/v1/me')).status === 401);
  const ids = [ended.id, slow.id, waiting.id];
  await until('all of it to be gone', async () => (await rowsLeft(ids)) === 0, 60_000);
  expect(await jobEnded(product, others.id)).toMatchObject({ counts: { succeeded: 5 } });
});

test('a job that is past the retention of its plan goes with all of its rows', async () => {
  const client = await createTenant(product, 'free');
  const [old, young] = [
    await createJob(client, { handler: 'echo', items: numbered(3) }),
    await createJob(client, { handler: 'echo', items: numbered(3) }),
  ];
  await jobEnded(client, old.id);
  await jobEnded(client, young.id);
  await withClient(product.databaseUrl, (client) =>
    client.query(`update jobs set ended_at = now() - interval '73 hours' where id = $1`, [
      decodeId('job', old.id),
    ]),
  );
  // A worker looks when it begins, and every minute after.
  await product.startWorker();
  await until('the old job to be gone', async () => (await rowsLeft([old.id])) === 0, 60_000);
  expect((await client.call('GET', `/v1/jobs/${old.id}`)).status).toBe(404);
  expect((await client.call('GET', `/v1/jobs/${young.id}`)).status).toBe(200);
});
