import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { call, type Reply, startApi, type TestApi } from '../support/api';

let api: TestApi;
let database: Client;

beforeAll(async () => {
  api = await startApi();
  database = new Client({ connectionString: api.databaseUrl });
  await database.connect();
});

afterAll(async () => {
  await database.end();
  await api.close();
});

function createTenant(
  idempotencyKey: string,
  body: unknown = { name: 'Acme', plan: 'free' },
  key = api.adminKey,
) {
  return call(api, '/v1/tenants', { key, body, headers: { 'Idempotency-Key': idempotencyKey } });
}

async function tenantsNamed(name: string): Promise<number> {
  const { rows } = await database.query('select count(*)::int as n from tenants where name = $1', [name]);
  return rows[0].n;
}

async function claims(key: string): Promise<{ status: number | null }[]> {
  return (await database.query('select status, body from idempotency_keys where key = $1', [key])).rows;
}

/** Runs `work` while no tenant can be inserted, so that a request which tries stands still in its transaction. */
async function whileTenantsAreLocked(
  work: (request: { waiting: () => Promise<number> }) => Promise<void>,
): Promise<void> {
  await database.query('begin; lock table tenants in share mode');
  const watcher = new Client({ connectionString: api.databaseUrl });
  await watcher.connect();
  const waiting = async (): Promise<number> => {
    for (;;) {
      const { rows } = await watcher.query(
        "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
      );
      if (rows.length > 0) return rows[0].pid;
    }
  };
  try {
    await work({ waiting });
  } finally {
    await database.query('rollback');
    await watcher.end();
  }
}

test('the same request gets the first answer again, and its effect once', async () => {
  const body = { name: `once ${randomUUID()}`, plan: 'basic' };
  const key = randomUUID();
  const first = await createTenant(key, body);
  const again = await createTenant(key, body);
  expect(first.status).toBe(201);
  expect(first.headers.get('idempotency-replayed')).toBeNull();
  expect([again.status, again.text]).toEqual([201, first.text]);
  expect(again.headers.get('location')).toBe(first.headers.get('location'));
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(await tenantsNamed(body.name)).toBe(1);
});

test('a quoted key and a bare one are the same key', async () => {
  const key = randomUUID();
  const first = await createTenant(key);
  const again = await createTenant(`"${key}"`);
  expect(again.text).toBe(first.text);
});

test('another body or another route under the same key is a 422', async () => {
  const key = randomUUID();
  await createTenant(key, { name: 'one', plan: 'free' });
  const otherBody = await createTenant(key, { name: 'two', plan: 'free' });
  expect([otherBody.status, otherBody.body.code]).toEqual([422, 'idempotency_mismatch']);
  const otherRoute = await call(api, '/v1/api-keys', {
    key: api.adminKey,
    body: { name: 'one', scopes: ['jobs:read'] },
    headers: { 'Idempotency-Key': key },
  });
  expect([otherRoute.status, otherRoute.body.code]).toEqual([422, 'idempotency_mismatch']);
});

test('of two at once one is done and the other is told at once that it runs', async () => {
  const key = randomUUID();
  const body = { name: `two at once ${key}`, plan: 'free' };
  let first: Promise<Reply> | undefined;
  await whileTenantsAreLocked(async ({ waiting }) => {
    first = createTenant(key, body);
    await waiting();
    const second = await createTenant(key, body);
    expect([second.status, second.body.code]).toEqual([409, 'idempotency_in_progress']);
    expect(second.headers.get('retry-after')).toBe('1');
  });
  const done = await first;
  expect(done?.status).toBe(201);
  expect((await createTenant(key, body)).text).toBe(done?.text);
  expect(await tenantsNamed(body.name)).toBe(1);
});

test('a request that dies before its effect leaves nothing, and the key is free at once', async () => {
  const key = randomUUID();
  const body = { name: `dies ${key}`, plan: 'free' };
  let first: Promise<Reply> | undefined;
  await whileTenantsAreLocked(async ({ waiting }) => {
    first = createTenant(key, body);
    const pid = await waiting();
    await database.query('select pg_terminate_backend($1)', [pid]);
    expect((await first).status).toBe(503);
  });
  expect(await claims(key)).toEqual([]);
  expect((await createTenant(key, body)).status).toBe(201);
  expect(await tenantsNamed(body.name)).toBe(1);
});

test('a claim whose process died is taken over once its minute is over, and what it left behind can store nothing', async () => {
  const key = randomUUID();
  const body = { name: `taken over ${key}`, plan: 'free' };
  let late: Promise<Reply> | undefined;
  await whileTenantsAreLocked(async ({ waiting }) => {
    late = createTenant(key, body);
    await waiting();
    const own = new Client({ connectionString: api.databaseUrl });
    await own.connect();
    // As if the minute had passed and another process had claimed the key since.
    await own.query("update idempotency_keys set locked_until = now() + interval '1 hour' where key = $1", [
      key,
    ]);
    await own.end();
  });
  const refused = await late;
  expect([refused?.status, refused?.body.code]).toEqual([409, 'idempotency_in_progress']);
  expect(await tenantsNamed(body.name)).toBe(0);
  await database.query("update idempotency_keys set locked_until = now() - interval '1 s' where key = $1", [
    key,
  ]);
  expect((await createTenant(key, body)).status).toBe(201);
  expect(await tenantsNamed(body.name)).toBe(1);
});

test('a request that is refused claims nothing', async () => {
  const key = randomUUID();
  expect((await createTenant(key, { name: '', plan: 'free' })).status).toBe(422);
  expect(await claims(key)).toEqual([]);
  const body = { name: 'x', scopes: ['admin'] };
  const weak = await api.createKey({ scopes: ['keys:write'] });
  const refused = await call(api, '/v1/api-keys', { key: weak, body, headers: { 'Idempotency-Key': key } });
  expect(refused.status).toBe(403);
  expect(await claims(key)).toEqual([]);
});

test('an answer older than a day is forgotten', async () => {
  const key = randomUUID();
  const first = await createTenant(key);
  await database.query(
    "update idempotency_keys set created_at = now() - interval '25 hours' where key = $1",
    [key],
  );
  const later = await createTenant(key, { name: 'a new day', plan: 'free' });
  expect(later.status).toBe(201);
  expect(later.body.id).not.toBe(first.body.id);
});

test("one tenant's keys are nothing to another", async () => {
  const key = randomUUID();
  const { body: other } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'other' } });
  const otherKey = await api.createKey({ tenantId: other.id, scopes: ['admin'] });
  const first = await createTenant(key);
  const second = await createTenant(key, { name: 'Acme', plan: 'free' }, otherKey);
  expect(second.status).toBe(201);
  expect(second.body.id).not.toBe(first.body.id);
});

describe('answers that hold a secret', () => {
  const body = { name: 'x', scopes: ['jobs:read'] };
  const create = (key: string, idempotencyKey: string): Promise<Reply> =>
    call(api, '/v1/api-keys', { key, body, headers: { 'Idempotency-Key': idempotencyKey } });

  test('are given again to the key that made them, and stand encrypted', async () => {
    const idempotencyKey = randomUUID();
    const first = await create(api.adminKey, idempotencyKey);
    expect((await create(api.adminKey, idempotencyKey)).text).toBe(first.text);
    const [row] = (await database.query('select body from idempotency_keys where key = $1', [idempotencyKey]))
      .rows;
    expect(row.body.length).toBeGreaterThan(33);
    expect(row.body.toString('latin1')).not.toContain(first.body.secret);
    expect(row.body.toString('latin1')).not.toContain('"prefix"');
  });

  test('are not given to another key of the tenant', async () => {
    const idempotencyKey = randomUUID();
    await create(api.adminKey, idempotencyKey);
    const other = await api.createKey({ scopes: ['keys:write', 'jobs:read'] });
    expect((await create(other, idempotencyKey)).body.code).toBe('idempotency_mismatch');
  });
});

test.each([
  ['too long', 'k'.repeat(256)],
  ['not ASCII', 'kl\u00e9'],
  ['empty', '""'],
])('a key that is %s is a 400', async (_title, key) => {
  const reply = await createTenant(key);
  expect([reply.status, reply.body.code]).toEqual([400, 'malformed_request']);
});

test('a key of 255 characters is fine', async () => {
  expect((await createTenant('k'.repeat(255))).status).toBe(201);
});
