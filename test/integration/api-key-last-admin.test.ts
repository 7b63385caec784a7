/** Somebody can always let others in. */
import { Client } from 'pg';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, outcome, patchKey, revokeKey } from '../support/keys';

let api: TestApi;
let database: Client;
let firstId: string;

beforeEach(async () => {
  api = await startApi();
  database = new Client({ connectionString: api.databaseUrl });
  await database.connect();
  firstId = (await call(api, '/v1/me', { key: api.adminKey })).body.key.id;
});

afterEach(async () => {
  await database.end();
  await api.close();
});

const LAST = [409, 'last_admin_key'];
const END = '2100-01-01T00:00:00.000Z';
const patch = (id: string, body: unknown): Promise<Reply> => patchKey(api, id, { key: api.adminKey, body });

test('the last key with admin keeps it, does not end and is not revoked; all else may change', async () => {
  await makeKey(api, ['keys:write', 'jobs:read']);
  expect(outcome(await revokeKey(api, firstId))).toEqual(LAST);
  expect(outcome(await patch(firstId, { scopes: ['keys:write'] }))).toEqual(LAST);
  expect(outcome(await patch(firstId, { expires_at: END }))).toEqual(LAST);
  const change = {
    name: 'x',
    scopes: ['jobs:read', 'admin'],
    allowed_cidrs: ['127.0.0.0/8'],
    requests_per_minute: 900,
  };
  const { status, body } = await patch(firstId, change);
  expect([status, body]).toMatchObject([200, change]);
});

test('another one that could do its work frees it, wherever it is', async () => {
  const { body: tenant } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'other' } });
  const other = await makeKey(api, ['admin'], { tenant_id: tenant.id });
  expect((await revokeKey(api, firstId, other.secret)).status).toBe(204);
  expect(outcome(await revokeKey(api, other.id, other.secret))).toEqual(LAST);
});

test.each([
  ['ends some day', async () => void (await makeKey(api, ['admin'], { expires_at: END }))],
  ['was revoked', async () => void (await revokeKey(api, (await makeKey(api, ['admin'])).id))],
  ['has every scope but admin', async () => void (await makeKey(api, ['keys:read', 'keys:write']))],
  [
    'is of a tenant that was deleted',
    async () => {
      const { body } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'gone' } });
      await makeKey(api, ['admin'], { tenant_id: body.id });
      await database.query('update tenants set deleted_at = now() where name = $1', ['gone']);
    },
  ],
])('one that %s does not', async (_title, make) => {
  await make();
  expect(outcome(await revokeKey(api, firstId))).toEqual(LAST);
  expect(outcome(await patch(firstId, { expires_at: END }))).toEqual(LAST);
});

test('where all of them have an end, the last that lives stays', async () => {
  const [a, b] = [
    await makeKey(api, ['admin'], { expires_at: END }),
    await makeKey(api, ['admin'], { expires_at: END }),
  ];
  await database.query('update api_keys set revoked_at = now() where prefix = $1', [
    api.adminKey.slice(0, 12),
  ]);
  const sooner = { key: a.secret, body: { expires_at: '2099-01-01T00:00:00.000Z' } };
  expect((await patchKey(api, b.id, sooner)).status).toBe(200);
  expect((await revokeKey(api, a.id, b.secret)).status).toBe(204);
  expect(outcome(await revokeKey(api, b.id, b.secret))).toEqual(LAST);
});

test('of two at once that revoke the last two, or each other, one is left', async () => {
  for (let round = 0; round < 5; round++) {
    const others = [await makeKey(api, ['admin']), await makeKey(api, ['admin'])] as const;
    await database.query('update api_keys set revoked_at = now() where not (prefix = any ($1))', [
      others.map(({ prefix }) => prefix),
    ]);
    const replies = await Promise.all([
      revokeKey(api, others[0].id, (others[round % 2] ?? others[0]).secret),
      revokeKey(api, others[1].id, (others[(round + 1) % 2] ?? others[0]).secret),
    ]);
    const { rows } = await database.query<{ n: number }>(
      `select count(*)::int as n from api_keys where revoked_at is null and 'admin' = any (scopes)`,
    );
    expect(rows).toEqual([{ n: 1 }]);
    expect(replies.map(({ status }) => status === 204).sort()).toEqual([false, true]);
    await database.query('update api_keys set revoked_at = null where prefix = $1', [
      api.adminKey.slice(0, 12),
    ]);
    await database.query('select access_changed($1)', [firstId]);
  }
});
