/** Listing, reading, changing and revoking keys. */
import { Client } from 'pg';
import { call, startApi, type TestApi } from '../support/api';
import { type MadeKey, makeKey, makeTenant, outcome, patchKey, revokeKey } from '../support/keys';
import { until } from '../support/wait';

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

const get = (id: string, key = api.adminKey) => call(api, `/v1/api-keys/${id}`, { key });
const list = (query: string, key: string) => call(api, `/v1/api-keys?${query}`, { key });

/** As time would do it; the API itself takes none that has passed. */
async function expire(prefix: string): Promise<void> {
  await database.query(`update api_keys set expires_at = now() - interval '1 second' where prefix = $1`, [
    prefix,
  ]);
}

describe('the list', () => {
  let tenant: string;
  let reader: MadeKey;
  let made: MadeKey[];

  beforeAll(async () => {
    tenant = await makeTenant(api);
    reader = await makeKey(api, ['keys:read'], { tenant_id: tenant });
    made = [];
    for (let n = 0; n < 5; n++)
      made.push(await makeKey(api, ['jobs:read'], { tenant_id: tenant, name: `k${n}` }));
    await expire(made[1]?.prefix ?? '');
    await revokeKey(api, made[2]?.id ?? '');
    // Revoked and expired: revoked.
    await revokeKey(api, made[3]?.id ?? '');
    await expire(made[3]?.prefix ?? '');
  });

  const ids = (...numbers: number[]): (string | undefined)[] => numbers.map((n) => made[n]?.id);

  test('is of one tenant, newest first, and shows no secret', async () => {
    const { status, body, text } = await list('', reader.secret);
    expect([status, body.next_cursor]).toEqual([200, null]);
    expect(body.data.map(({ id }: MadeKey) => id)).toEqual([...ids(4, 3, 2, 1, 0), reader.id]);
    expect(new Set(body.data.map((key: { tenant_id: string }) => key.tenant_id))).toEqual(new Set([tenant]));
    for (const { secret } of made) expect(text).not.toContain(secret.slice(12));
  });

  test.each([
    ['active', () => [...ids(4, 0), reader.id]],
    ['expired', () => ids(1)],
    ['revoked', () => ids(3, 2)],
  ])('filters by status %s', async (status, expected) => {
    const { body } = await list(`status=${status}`, reader.secret);
    expect(body.data.map(({ id }: MadeKey) => id)).toEqual(expected());
    expect(body.data.every((key: { status: string }) => key.status === status)).toBe(true);
  });

  test('goes page by page, each key once', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await list(`limit=2${cursor}`, reader.secret);
      seen.push(...body.data.map(({ id }: MadeKey) => id));
      cursor = body.next_cursor === null ? '' : `&cursor=${body.next_cursor}`;
    } while (cursor !== '');
    expect(seen).toEqual([...ids(4, 3, 2, 1, 0), reader.id]);
  });

  test('takes no cursor of other filters, or of anything else', async () => {
    const { body } = await list('limit=2', reader.secret);
    const made = Buffer.from(JSON.stringify([`api-keys?tenant_id=${tenant}&status=`, 'nonsense'])).toString(
      'base64url',
    );
    for (const query of [`status=active&cursor=${body.next_cursor}`, 'cursor=nonsense', `cursor=${made}`]) {
      expect(outcome(await list(query, reader.secret))).toEqual([400, 'malformed_cursor']);
    }
    expect(outcome(await list(`cursor=${body.next_cursor}`, api.adminKey))).toEqual([
      400,
      'malformed_cursor',
    ]);
  });

  test('an admin names another tenant; for anybody else it is the same 404 as none', async () => {
    const { body } = await list(`tenant_id=${tenant}&status=active`, api.adminKey);
    expect(body.data.map(({ id }: MadeKey) => id)).toEqual([...ids(4, 0), reader.id]);
    const other = await list(`tenant_id=${api.tenantId}`, reader.secret);
    const none = await list('tenant_id=tnt_01k6z7q0v8e2m9x4t5c3b1a0n7', reader.secret);
    expect(outcome(other)).toEqual([404, 'not_found']);
    expect({ ...other.body, request_id: '' }).toEqual({ ...none.body, request_id: '' });
    expect((await list(`tenant_id=${tenant}`, reader.secret)).status).toBe(200);
  });
});

describe('creating', () => {
  test('ranges of addresses are kept in their canonical form, each once', async () => {
    const allowed_cidrs = ['10.1.2.3/8', '192.0.2.1', '2001:DB8::5/32', '10.0.0.0/8'];
    const { id } = await makeKey(api, ['jobs:read'], { allowed_cidrs });
    const canonical = ['10.0.0.0/8', '192.0.2.1/32', '2001:db8::/32'];
    expect((await get(id)).body.allowed_cidrs).toEqual(canonical);
    const { rows } = await database.query('select allowed_cidrs from api_keys where allowed_cidrs <> $1', [
      '{}',
    ]);
    expect(rows).toEqual([{ allowed_cidrs: canonical }]);
  });

  test.each([
    ['no address', { allowed_cidrs: ['10.0.0.0/8', 'example.com'] }, '/allowed_cidrs/1'],
    ['too long a prefix', { allowed_cidrs: ['10.0.0.0/33'] }, '/allowed_cidrs/0'],
    ['IPv4 in the form of IPv6', { allowed_cidrs: ['::ffff:10.0.0.0/104'] }, '/allowed_cidrs/0'],
    ['too many ranges', { allowed_cidrs: Array(101).fill('10.0.0.1') }, '/allowed_cidrs'],
    ['a limit of nothing', { requests_per_minute: 0 }, '/requests_per_minute'],
    ['a limit that is no whole number', { requests_per_day: 1.5 }, '/requests_per_day'],
    ['a limit beyond what can be counted', { requests_per_day: 2 ** 60 }, '/requests_per_day'],
  ])('%s is a 422 that points at it', async (_title, change, pointer) => {
    const body = { name: 'x', scopes: ['jobs:read'], ...change };
    const reply = await call(api, '/v1/api-keys', { key: api.adminKey, body });
    expect([...outcome(reply), reply.body.errors]).toEqual([
      ...[422, 'validation_failed'],
      [expect.objectContaining({ pointer })],
    ]);
  });

  test('bounds are shown by the key, and to itself by GET /v1/me beside the limits of its plan', async () => {
    const tenant = await makeTenant(api, 'basic');
    const bounds = {
      expires_at: '2100-01-01T00:00:00.000Z',
      allowed_cidrs: ['127.0.0.0/8'],
      requests_per_minute: 30,
      requests_per_day: 9_000_000_000,
    };
    const { id, secret } = await makeKey(api, ['jobs:read'], { ...bounds, tenant_id: tenant });
    expect((await get(id)).body).toMatchObject({
      status: 'active',
      rotated_at: null,
      last_used_at: null,
      ...bounds,
    });
    const { body } = await call(api, '/v1/me', { key: secret });
    expect(body.key).toEqual({ id, name: 'test', prefix: secret.slice(0, 12), ...bounds });
    expect([body.plan, body.limits]).toEqual([
      'basic',
      expect.objectContaining({ requests_per_minute: 600, items_per_job: 500_000, retention_days: 30 }),
    ]);
  });
});

describe('changing', () => {
  test('what is named changes and the rest stays; null and an empty list take away', async () => {
    const made = await makeKey(api, ['jobs:read', 'jobs:write'], {
      allowed_cidrs: ['10.0.0.0/8'],
      requests_per_minute: 5,
      requests_per_day: 50,
    });
    const before = (await get(made.id)).body;
    const change = {
      name: 'new',
      scopes: ['jobs:read'],
      expires_at: '2100-01-01T00:00:00.000Z',
      requests_per_minute: 7,
    };
    const { status, body } = await patchKey(api, made.id, { key: api.adminKey, body: change });
    expect([status, body]).toEqual([200, { ...before, ...change }]);
    expect((await get(made.id)).body).toEqual(body);
    const nothing = {
      expires_at: null,
      allowed_cidrs: [],
      requests_per_minute: null,
      requests_per_day: null,
    };
    expect((await patchKey(api, made.id, { key: api.adminKey, body: nothing })).body).toEqual({
      ...body,
      ...nothing,
    });
    expect((await patchKey(api, made.id, { key: api.adminKey, body: {} })).body).toEqual({
      ...body,
      ...nothing,
    });
  });

  test('scopes that were taken away are gone within a second', async () => {
    const { id, secret } = await makeKey(api, ['keys:read', 'jobs:read']);
    expect((await list('', secret)).status).toBe(200);
    await patchKey(api, id, { key: api.adminKey, body: { scopes: ['jobs:read'] } });
    await until('the scope to be gone', async () => (await list('', secret)).status === 403, 5_000);
  });

  test.each([
    ['a time in the past', { expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
    ['no scopes', { scopes: [] }, '/scopes'],
    ['another tenant', { tenant_id: 'tnt_x' }, '/tenant_id'],
    ['no range', { allowed_cidrs: ['nonsense'] }, '/allowed_cidrs/0'],
  ])('%s is a 422 that points at it', async (_title, body, pointer) => {
    const { id } = await makeKey(api, ['jobs:read']);
    const reply = await patchKey(api, id, { key: api.adminKey, body });
    expect([reply.status, reply.body.errors]).toEqual([422, [expect.objectContaining({ pointer })]]);
  });

  test('a key that expired or was revoked stays as it is', async () => {
    const [expired, revoked] = [await makeKey(api, ['jobs:read']), await makeKey(api, ['jobs:read'])];
    await expire(expired.prefix);
    await revokeKey(api, revoked.id);
    for (const { id } of [expired, revoked]) {
      const reply = await patchKey(api, id, { key: api.adminKey, body: { expires_at: null } });
      expect(outcome(reply)).toEqual([409, 'key_not_active']);
    }
  });
});

describe('revoking', () => {
  test('stops a key within a second, and its entry stays and says since when', async () => {
    const { id, secret } = await makeKey(api, ['jobs:read']);
    expect((await call(api, '/v1/me', { key: secret })).status).toBe(200);
    const reply = await revokeKey(api, id);
    expect([reply.status, reply.text]).toEqual([204, '']);
    const stopped = () => call(api, '/v1/me', { key: secret });
    await until('the key to stop', async () => (await stopped()).body.code === 'key_revoked', 5_000);
    const { body } = await get(id);
    expect(body).toMatchObject({ status: 'revoked', revoked_at: expect.any(String) });
    expect((await revokeKey(api, id)).status).toBe(204);
    expect((await get(id)).body).toEqual(body);
  });

  test('a key may end itself', async () => {
    const { id, secret } = await makeKey(api, ['keys:write']);
    expect((await revokeKey(api, id, secret)).status).toBe(204);
  });

  test('a change by a key that was revoked meanwhile does not happen', async () => {
    const [asker, target] = [await makeKey(api, ['keys:write']), await makeKey(api, ['keys:write'])];
    expect((await call(api, '/v1/me', { key: asker.secret })).status).toBe(200);
    // Not told to the log of changes: the process still believes the key.
    await database.query('update api_keys set revoked_at = now() where prefix = $1', [asker.prefix]);
    expect(outcome(await revokeKey(api, target.id, asker.secret))).toEqual([401, 'key_revoked']);
    expect((await get(target.id)).body.status).toBe('active');
  });

  test("another tenant's key is the same 404 as none, whatever is done to it", async () => {
    const [mine, theirs] = [await makeTenant(api), await makeTenant(api)];
    const asker = await makeKey(api, ['keys:read', 'keys:write'], { tenant_id: mine });
    const target = await makeKey(api, ['keys:read'], { tenant_id: theirs });
    const none = target.id.replace(/.{8}$/, '00000000');
    const deeds = [
      { method: 'GET' },
      { method: 'PATCH', body: { name: 'mine' } },
      { method: 'DELETE' },
      { method: 'POST', path: '/rotate', body: {} },
    ];
    for (const { path = '', ...deed } of deeds) {
      const [foreign, missing] = await Promise.all(
        [target.id, none].map((id) => call(api, `/v1/api-keys/${id}${path}`, { key: asker.secret, ...deed })),
      );
      expect(foreign?.status).toBe(404);
      const faceless = (reply: typeof foreign) => ({ ...reply?.body, instance: '', request_id: '' });
      expect(faceless(foreign)).toEqual(faceless(missing));
    }
    expect((await get(target.id)).body).toMatchObject({ status: 'active', name: 'test', rotated_at: null });
  });
});
