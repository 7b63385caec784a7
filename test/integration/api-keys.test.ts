import { Client } from 'pg';
import { encodeId, tryDecodeId } from '../../src/domain/ids';
import { formatKey } from '../../src/domain/key/key-format';
import { call, startApi, type TestApi } from '../support/api';
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

async function newTenant(name: string): Promise<{ id: string; key: string }> {
  const { body } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name, plan: 'basic' } });
  return {
    id: body.id,
    key: await api.createKey({ tenantId: body.id, scopes: ['keys:read', 'keys:write'] }),
  };
}

describe('who asks', () => {
  const unknown = formatKey('A'.repeat(30));
  const cases: [title: string, authorization: string | undefined, code: string][] = [
    ['no key', undefined, 'unauthenticated'],
    ['another scheme', 'Basic dXNlcjpwYXNz', 'unauthenticated'],
    ['a scheme alone', 'Bearer', 'unauthenticated'],
    ['no key at all in it', 'Bearer nonsense', 'unauthenticated'],
    ['a key with a wrong checksum', `Bearer ${unknown.slice(0, -1)}!`, 'unauthenticated'],
    ['a well-formed key that nobody made', `Bearer ${unknown}`, 'unauthenticated'],
  ];
  test.each(cases)('%s is a 401 with a challenge', async (_title, authorization, code) => {
    const headers = authorization === undefined ? {} : { Authorization: authorization };
    const reply = await call(api, '/v1/me', { headers });
    expect([reply.status, reply.body.code]).toEqual([401, code]);
    expect(reply.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
  });

  test('a key with a wrong checksum is refused without asking the database', async () => {
    await database.query('begin; lock table api_keys in access exclusive mode');
    try {
      const broken = `${unknown.slice(0, -1)}${unknown.endsWith('0') ? '1' : '0'}`;
      expect((await call(api, '/v1/me', { key: broken })).status).toBe(401);
    } finally {
      await database.query('rollback');
    }
  });

  test('a key past its time is refused as expired', async () => {
    const key = await api.createKey({ scopes: ['jobs:read'], expiresAt: new Date(Date.now() - 1_000) });
    const reply = await call(api, '/v1/me', { key });
    expect([reply.status, reply.body.code]).toEqual([401, 'key_expired']);
  });

  test('a revoked key is refused as revoked', async () => {
    const key = await api.createKey({ scopes: ['jobs:read'] });
    await database.query('update api_keys set revoked_at = now() where prefix = $1', [key.slice(0, 12)]);
    const reply = await call(api, '/v1/me', { key });
    expect([reply.status, reply.body.code]).toEqual([401, 'key_revoked']);
  });

  test('a key without the scope is refused with its name', async () => {
    const key = await api.createKey({ scopes: ['jobs:read'] });
    const reply = await call(api, '/v1/api-keys', { key, body: { name: 'x', scopes: ['jobs:read'] } });
    expect([reply.status, reply.body.code]).toEqual([403, 'missing_scope']);
    expect(reply.body.detail).toContain('keys:write');
  });

  test('the scheme may be written in any case', async () => {
    const reply = await call(api, '/v1/me', { headers: { Authorization: `bEARER ${api.adminKey}` } });
    expect(reply.status).toBe(200);
  });

  test('GET /v1/me tells key, tenant, plan and scopes', async () => {
    const { status, body } = await call(api, '/v1/me', { key: api.adminKey });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      key: { name: 'first admin key', prefix: api.adminKey.slice(0, 12), expires_at: null },
      tenant: { id: api.tenantId, name: 'default' },
      plan: 'unlimited',
      scopes: ['admin'],
    });
  });
});

describe('creating keys', () => {
  test('the key is shown once, works, and is kept only as a hash', async () => {
    const reply = await call(api, '/v1/api-keys', {
      key: api.adminKey,
      body: { name: 'importer', scopes: ['jobs:read', 'keys:read'], expires_at: '2100-01-01T00:00:00+01:00' },
    });
    expect(reply.status).toBe(201);
    const { secret, ...shown } = reply.body;
    expect(secret).toMatch(/^mrk_[0-9A-Za-z]{36}$/);
    expect(shown).toMatchObject({ prefix: secret.slice(0, 12), expires_at: '2099-12-31T23:00:00.000Z' });
    expect(reply.headers.get('location')).toBe(`/v1/api-keys/${shown.id}`);
    const again = await call(api, `/v1/api-keys/${shown.id}`, { key: secret });
    expect([again.status, again.body]).toEqual([200, shown]);
    const { rows } = await database.query('select k::text as row from api_keys k');
    expect(JSON.stringify(rows)).not.toContain(secret.slice(13));
  });

  test('a key cannot grant a scope that it lacks', async () => {
    const key = await api.createKey({ scopes: ['keys:write', 'jobs:read'] });
    for (const scopes of [['jobs:write'], ['admin'], ['jobs:read', 'webhooks:read']]) {
      const reply = await call(api, '/v1/api-keys', { key, body: { name: 'x', scopes } });
      expect([reply.status, reply.body.code]).toEqual([403, 'scope_escalation']);
    }
    const fine = await call(api, '/v1/api-keys', { key, body: { name: 'x', scopes: ['jobs:read'] } });
    expect(fine.status).toBe(201);
  });

  test("without admin, another tenant's id answers exactly like one that no tenant has", async () => {
    const other = await newTenant('other');
    const { key } = await newTenant('asker');
    const none = encodeId('tenant', '01900000-0000-7000-8000-000000000000');
    const answers = [];
    for (const tenantId of [other.id, none, 'nonsense']) {
      const body = { name: 'x', scopes: ['keys:read'], tenant_id: tenantId };
      const reply = await call(api, '/v1/api-keys', { key, body });
      const { request_id: _, ...problem } = reply.body;
      answers.push([reply.status, problem]);
    }
    expect(answers[0]).toEqual([404, expect.objectContaining({ code: 'not_found' })]);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  test('an admin makes keys for any tenant, which then belong to that tenant alone', async () => {
    const other = await newTenant('third');
    const body = { name: 'x', scopes: ['keys:read'], tenant_id: other.id };
    const made = await call(api, '/v1/api-keys', { key: api.adminKey, body });
    expect([made.status, made.body.tenant_id]).toEqual([201, other.id]);
    const me = await call(api, '/v1/me', { key: made.body.secret });
    expect(me.body.tenant.id).toBe(other.id);
    const unknown = { ...body, tenant_id: encodeId('tenant', '01900000-0000-7000-8000-000000000000') };
    expect((await call(api, '/v1/api-keys', { key: api.adminKey, body: unknown })).status).toBe(404);
  });

  test("another tenant's key is the same 404 as none", async () => {
    const a = await newTenant('a');
    const b = await newTenant('b');
    const { body: own } = await call(api, '/v1/me', { key: a.key });
    expect((await call(api, `/v1/api-keys/${own.key.id}`, { key: a.key })).status).toBe(200);
    const foreign = await call(api, `/v1/api-keys/${own.key.id}`, { key: b.key });
    const none = await call(api, `/v1/api-keys/${encodeId('key', tryDecodeId('tenant', a.id) ?? '')}`, {
      key: b.key,
    });
    expect(foreign.status).toBe(404);
    expect({ ...foreign.body, instance: '', request_id: '' }).toEqual({
      ...none.body,
      instance: '',
      request_id: '',
    });
    expect((await call(api, `/v1/api-keys/${own.key.id}`, { key: api.adminKey })).status).toBe(200);
  });

  test.each([
    ['a time in the past', { expires_at: '2020-01-01T00:00:00Z' }, '/expires_at'],
    ['no RFC 3339 time', { expires_at: 'tomorrow' }, '/expires_at'],
    ['an unknown scope', { scopes: ['jobs:rewrite'] }, '/scopes/0'],
    ['no scopes', { scopes: [] }, '/scopes'],
    ['a scope twice', { scopes: ['jobs:read', 'jobs:read'] }, '/scopes'],
    ['an unknown field', { admin: true }, '/admin'],
    ['a field that needs escaping', { 'a/b~c': 1 }, '/a~1b~0c'],
    ['an empty name', { name: '' }, '/name'],
  ])('%s is a 422 that points at it', async (_title, change, pointer) => {
    const body = { name: 'x', scopes: ['jobs:read'], ...change };
    const reply = await call(api, '/v1/api-keys', { key: api.adminKey, body });
    expect([reply.status, reply.body.code]).toEqual([422, 'validation_failed']);
    expect(reply.body.errors).toEqual([expect.objectContaining({ pointer })]);
  });
});

describe('tenants', () => {
  test('only an admin makes tenants', async () => {
    const key = await api.createKey({ scopes: ['keys:write', 'jobs:write'] });
    const body = { name: 'Acme', plan: 'basic' };
    expect((await call(api, '/v1/tenants', { key, body })).body.code).toBe('missing_scope');
    const made = await call(api, '/v1/tenants', { key: api.adminKey, body });
    expect([made.status, made.body]).toMatchObject([201, { object: 'tenant', name: 'Acme', plan: 'basic' }]);
    expect(made.headers.get('location')).toBe(`/v1/tenants/${made.body.id}`);
  });

  test('a tenant sees itself and nobody else; an admin sees all', async () => {
    const a = await newTenant('seen');
    const b = await newTenant('unseen');
    expect((await call(api, `/v1/tenants/${a.id}`, { key: a.key })).body.name).toBe('seen');
    expect((await call(api, `/v1/tenants/${b.id}`, { key: a.key })).status).toBe(404);
    expect((await call(api, `/v1/tenants/${b.id}`, { key: api.adminKey })).status).toBe(200);
  });
});

test('a key in a path that is cut off, or in escapes, is taken out of the log as well', async () => {
  const key = await api.createKey({ scopes: ['jobs:read'] });
  await call(api, `/v1/${'x'.repeat(170)}/${key}`, { key });
  await call(api, `/v1/%6D${key.slice(1)}`, { key });
  const lines = (): string => JSON.stringify(api.logged());
  await until('both lines', () => lines().split('[redacted]').length > 2);
  expect(lines()).not.toContain(key.slice(4, 20));
});

test('no key ever reaches the log', async () => {
  const key = await api.createKey({ scopes: ['keys:write', 'jobs:read'] });
  const made = await call(api, '/v1/api-keys', { key, body: { name: 'x', scopes: ['jobs:read'] } });
  await call(api, `/v1/me?key=${key}`, { key });
  await call(api, `/v1/${key}`, { key, headers: { 'X-Request-Id': key } });
  const log = JSON.stringify(api.logged());
  for (const secret of [key, made.body.secret, api.adminKey]) {
    expect(secret).toMatch(/^mrk_/);
    expect(log).not.toContain(secret.slice(4));
  }
});
