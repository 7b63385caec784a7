/** A key gives nothing that it has not. */
import { Client } from 'pg';
import type { Scope } from '../../src/domain/key/scopes';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { type MadeKey, makeKey, outcome, patchKey, revokeKey, rotateKey } from '../support/keys';

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

const ESCALATION = [403, 'scope_escalation'];
const create = (asker: MadeKey, body: Record<string, unknown> = {}): Promise<Reply> =>
  call(api, '/v1/api-keys', { key: asker.secret, body: { name: 'made', scopes: ['jobs:read'], ...body } });

describe('bounds', () => {
  const end = '2100-01-01T00:00:00.000Z';
  const bounds = {
    expires_at: end,
    allowed_cidrs: ['127.0.0.0/8', '2001:db8::/32'],
  };
  let asker: MadeKey;
  beforeAll(async () => {
    asker = await makeKey(api, ['keys:write', 'jobs:read'], bounds);
  });

  test('are handed on where the request says nothing', async () => {
    const { status, body } = await create(asker);
    expect([status, body]).toMatchObject([201, bounds]);
  });

  test('may be made tighter', async () => {
    const tighter = {
      expires_at: '2099-01-01T00:00:00.000Z',
      allowed_cidrs: ['127.1.0.0/16', '2001:db8:1::/48'],
      requests_per_minute: 100,
      requests_per_day: 10,
    };
    const { status, body } = await create(asker, tighter);
    expect([status, body]).toMatchObject([201, tighter]);
  });

  const looser: [title: string, body: Record<string, unknown>, field: string][] = [
    ['a later end', { expires_at: '2100-01-01T00:00:00.001Z' }, 'expires_at'],
    ['no end', { expires_at: null }, 'expires_at'],
    ['any address', { allowed_cidrs: [] }, 'allowed_cidrs'],
    ['a wider range', { allowed_cidrs: ['126.0.0.0/7'] }, 'allowed_cidrs'],
    ['another range beside', { allowed_cidrs: ['127.0.0.0/8', '10.0.0.1'] }, 'allowed_cidrs'],
  ];
  test.each(looser)('%s is refused: to a new key, to another, and to itself', async (_title, body, field) => {
    const { body: other } = await create(asker);
    const replies = [
      await create(asker, body),
      await patchKey(api, other.id, { key: asker.secret, body }),
      await patchKey(api, asker.id, { key: asker.secret, body }),
    ];
    for (const reply of replies) {
      expect(outcome(reply)).toEqual(ESCALATION);
      expect(reply.body.detail).toContain(field);
    }
    expect((await call(api, `/v1/api-keys/${asker.id}`, { key: api.adminKey })).body).toMatchObject(bounds);
  });

  test('are as they stand in the database, not as this process remembers them', async () => {
    const narrowed = await makeKey(api, ['keys:write', 'jobs:read']);
    expect((await create(narrowed)).status).toBe(201);
    await database.query('update api_keys set expires_at = $2 where prefix = $1', [narrowed.prefix, end]);
    expect(outcome(await create(narrowed, { expires_at: null }))).toEqual(ESCALATION);
    expect((await create(narrowed)).body.expires_at).toBe(end);
  });

  test('do not hold a key with admin, which gives what it likes', async () => {
    const admin = await makeKey(api, ['admin'], { ...bounds, requests_per_minute: 100 });
    const { status, body } = await create(admin, { scopes: ['jobs:read', 'webhooks:read'] });
    expect([status, body]).toMatchObject([
      201,
      { expires_at: null, allowed_cidrs: [], requests_per_minute: null },
    ]);
    const raised = await patchKey(api, body.id, { key: admin.secret, body: { requests_per_minute: 200 } });
    expect([raised.status, raised.body.requests_per_minute]).toEqual([200, 200]);
  });
});

describe.each([
  ['a minute', { requests_per_minute: 100 }],
  ['a day', { requests_per_day: 1_000 }],
])('a key with a limit of its own %s', (_title, limits) => {
  const LIMITED = [403, 'limited_key'];
  const [field = ''] = Object.keys(limits);
  let asker: MadeKey;
  beforeAll(async () => {
    asker = await makeKey(api, ['keys:write', 'jobs:read'], limits);
  });

  test('makes no other, not even a tighter one: beside it that would be more than the limit', async () => {
    for (const body of [{}, limits, { ...limits, [field]: 1 }]) {
      const reply = await create(asker, body);
      expect(outcome(reply)).toEqual(LIMITED);
      expect(reply.body.detail).toContain('limits of its own');
    }
  });

  test('neither changes nor rotates another', async () => {
    const target = await makeKey(api, ['jobs:read'], { [field]: 1 });
    for (const body of [limits, { [field]: 1 }, { expires_at: '2100-01-01T00:00:00Z' }, { name: 'x' }, {}]) {
      expect(outcome(await patchKey(api, target.id, { key: asker.secret, body }))).toEqual(LIMITED);
    }
    expect(outcome(await rotateKey(api, target.id, { key: asker.secret }))).toEqual(LIMITED);
    const { body } = await call(api, `/v1/api-keys/${target.id}`, { key: api.adminKey });
    expect(body).toMatchObject({ name: 'test', rotated_at: null, expires_at: null, [field]: 1 });
  });

  test('does not get rid of it, and may tighten it', async () => {
    const own = await makeKey(api, ['keys:write'], limits);
    for (const value of [null, 1_001]) {
      const reply = await patchKey(api, own.id, { key: own.secret, body: { [field]: value } });
      expect(outcome(reply)).toEqual(ESCALATION);
      expect(reply.body.detail).toContain(field);
    }
    const tighter = await patchKey(api, own.id, { key: own.secret, body: { name: 'x', [field]: 99 } });
    expect([tighter.status, tighter.body]).toMatchObject([200, { name: 'x', [field]: 99 }]);
  });

  test('rotates itself, which stays one key with one count, and revokes others', async () => {
    const own = await makeKey(api, ['keys:write'], limits);
    const rotated = await rotateKey(api, own.id, { key: own.secret, body: { overlap_seconds: 60 } });
    expect([rotated.status, rotated.body]).toMatchObject([201, { id: own.id, ...limits }]);
    const target = await makeKey(api, ['jobs:read']);
    expect((await revokeKey(api, target.id, rotated.body.secret)).status).toBe(204);
  });

  test('is one as the database has it, not as this process remembers it', async () => {
    const late = await makeKey(api, ['keys:write', 'jobs:read']);
    expect((await create(late)).status).toBe(201);
    await database.query(`update api_keys set ${field} = 5 where prefix = $1`, [late.prefix]);
    expect(outcome(await create(late))).toEqual(LIMITED);
  });
});

test('limits of a key are given by one without any', async () => {
  const asker = await makeKey(api, ['keys:write', 'jobs:read']);
  const { body } = await create(asker, { requests_per_minute: 7 });
  expect([body.requests_per_minute, body.requests_per_day]).toEqual([7, null]);
  const changed = await patchKey(api, body.id, { key: asker.secret, body: { requests_per_minute: null } });
  expect([changed.status, changed.body.requests_per_minute]).toEqual([200, null]);
});

describe('a key without all scopes of another', () => {
  let asker: MadeKey;
  beforeAll(async () => {
    asker = await makeKey(api, ['keys:write', 'keys:read', 'jobs:read']);
  });

  test.each<[Scope[]]>([[['jobs:write']], [['jobs:read', 'webhooks:read']], [['admin']]])(
    'neither makes, changes nor rotates one with %j',
    async (scopes) => {
      const target = await makeKey(api, scopes);
      expect(outcome(await create(asker, { scopes }))).toEqual(ESCALATION);
      expect(outcome(await rotateKey(api, target.id, { key: asker.secret }))).toEqual(ESCALATION);
      for (const body of [{ name: 'x' }, { scopes: ['jobs:read'] }, {}]) {
        expect(outcome(await patchKey(api, target.id, { key: asker.secret, body }))).toEqual(ESCALATION);
      }
      const lesser = await makeKey(api, ['jobs:read']);
      expect(outcome(await patchKey(api, lesser.id, { key: asker.secret, body: { scopes } }))).toEqual(
        ESCALATION,
      );
    },
  );

  test('changes and rotates one with fewer', async () => {
    const target = await makeKey(api, ['jobs:read']);
    const renamed = await patchKey(api, target.id, { key: asker.secret, body: { name: 'x' } });
    expect([renamed.status, renamed.body.name]).toEqual([200, 'x']);
    expect((await rotateKey(api, target.id, { key: asker.secret })).status).toBe(201);
  });

  test('does not get a secret that may do more than itself by rotating', async () => {
    const bound = await makeKey(api, ['keys:write', 'jobs:read'], { allowed_cidrs: ['127.0.0.0/8'] });
    const target = await makeKey(api, ['jobs:read']);
    expect(outcome(await rotateKey(api, target.id, { key: bound.secret }))).toEqual(ESCALATION);
    expect((await rotateKey(api, bound.id, { key: bound.secret })).status).toBe(201);
  });

  test('revokes it, but for one with admin', async () => {
    const target = await makeKey(api, ['webhooks:write']);
    expect((await revokeKey(api, target.id, asker.secret)).status).toBe(204);
    const admin = await makeKey(api, ['admin']);
    expect(outcome(await revokeKey(api, admin.id, asker.secret))).toEqual(ESCALATION);
    expect((await revokeKey(api, admin.id)).status).toBe(204);
  });
});
