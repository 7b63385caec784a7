import { Client } from 'pg';
import { call, startApi, type TestApi } from '../support/api';
import { makeKey, outcome, revokeKey, rotateKey } from '../support/keys';
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

const me = (key: string) => call(api, '/v1/me', { key });
const ended = async (key: string): Promise<boolean> => (await me(key)).body.code === 'key_expired';

test('in the overlap old and new secret are the same key, after it only the new one', async () => {
  const old = await makeKey(api, ['jobs:read'], { requests_per_minute: 1_000 });
  expect((await me(old.secret)).status).toBe(200);
  const rotated = await rotateKey(api, old.id, { body: { overlap_seconds: 1 } });
  expect(rotated.status).toBe(201);
  expect(rotated.headers.get('location')).toBe(`/v1/api-keys/${old.id}`);
  const { secret, ...shown } = rotated.body;
  expect(secret).toMatch(/^mrk_[0-9A-Za-z]{36}$/);
  expect(shown).toMatchObject({ id: old.id, prefix: secret.slice(0, 12), rotated_at: expect.any(String) });
  expect((await call(api, `/v1/api-keys/${old.id}`, { key: api.adminKey })).body).toEqual(shown);
  expect((await me(secret)).body.key).toEqual((await me(old.secret)).body.key);
  await until('the end of the old secret', () => ended(old.secret));
  expect((await me(secret)).status).toBe(200);
});

test('within a long overlap both go on working, until its end comes', async () => {
  const old = await makeKey(api, ['jobs:read']);
  const { body } = await rotateKey(api, old.id, { body: { overlap_seconds: 604_800 } });
  expect([(await me(old.secret)).status, (await me(body.secret)).status]).toEqual([200, 200]);
  const { rows } = await database.query(
    `update api_key_secrets set ends_at = now() where key_id = (select id from api_keys where prefix = $1) and ends_at is not null
     returning ends_at - created_at > interval '604799 seconds' as long`,
    [body.prefix],
  );
  expect(rows).toHaveLength(1);
  await database.query('select access_changed($1)', [old.id]);
  await until('the end of the old secret', () => ended(old.secret), 5_000);
  expect((await me(body.secret)).status).toBe(200);
});

test('without a word about it the old secret ends at once', async () => {
  for (const how of [{}, { body: {} }]) {
    const old = await makeKey(api, ['jobs:read']);
    const { status, body } = await rotateKey(api, old.id, how);
    expect(status).toBe(201);
    await until('the end of the old secret', () => ended(old.secret), 5_000);
    expect((await me(body.secret)).status).toBe(200);
  }
});

test('a later rotation brings the end of older secrets forward, and never back', async () => {
  const first = await makeKey(api, ['jobs:read']);
  const { body: second } = await rotateKey(api, first.id, { body: { overlap_seconds: 3_600 } });
  const { body: third } = await rotateKey(api, first.id, { body: { overlap_seconds: 604_800 } });
  const ends = async (): Promise<number[]> => {
    const { rows } = await database.query<{ left: number | null }>(
      `select extract(epoch from ends_at - now())::float8 as left from api_key_secrets
       where key_id = (select id from api_keys where prefix = $1) order by created_at`,
      [third.prefix],
    );
    return rows.map(({ left }) => left ?? Number.POSITIVE_INFINITY);
  };
  const [endOfFirst = 0, endOfSecond = 0, endOfThird] = await ends();
  expect(endOfFirst).toBeLessThanOrEqual(3_600);
  expect(endOfSecond).toBeGreaterThan(3_600);
  expect(endOfThird).toBe(Number.POSITIVE_INFINITY);
  const fourth = await rotateKey(api, first.id, { body: { overlap_seconds: 0 } });
  for (const { secret } of [first, second, third]) {
    await until('the end of every old secret', () => ended(secret), 5_000);
  }
  expect((await me(fourth.body.secret)).status).toBe(200);
});

test('what an end says of the whole key is true of every secret', async () => {
  const old = await makeKey(api, ['jobs:read'], { expires_at: '2100-01-01T00:00:00.000Z' });
  const { body } = await rotateKey(api, old.id, { body: { overlap_seconds: 60 } });
  expect(body.expires_at).toBe('2100-01-01T00:00:00.000Z');
  await revokeKey(api, old.id);
  for (const key of [old.secret, body.secret]) {
    await until('both to stop', async () => (await me(key)).body.code === 'key_revoked', 5_000);
  }
});

test('a repeated request gets the same secret, and rotates once', async () => {
  const { id } = await makeKey(api, ['jobs:read']);
  const how = { body: { overlap_seconds: 60 }, headers: { 'Idempotency-Key': 'rotate-once' } };
  const first = await rotateKey(api, id, how);
  const again = await rotateKey(api, id, how);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect([again.status, again.body]).toEqual([201, first.body]);
  const { rows } = await database.query(
    'select from api_key_secrets where key_id = (select id from api_keys where prefix = $1)',
    [first.body.prefix],
  );
  expect(rows).toHaveLength(2);
});

test('a key that expired or was revoked gets no new secret', async () => {
  const [expired, revoked] = [await makeKey(api, ['jobs:read']), await makeKey(api, ['jobs:read'])];
  await database.query('update api_keys set expires_at = now() where prefix = $1', [expired.prefix]);
  await revokeKey(api, revoked.id);
  for (const { id } of [expired, revoked]) {
    expect(outcome(await rotateKey(api, id))).toEqual([409, 'key_not_active']);
  }
});

test.each([-1, 604_801, 1.5, '60', null])('an overlap of %j is a 422', async (overlap_seconds) => {
  const { id } = await makeKey(api, ['jobs:read']);
  const reply = await rotateKey(api, id, { body: { overlap_seconds } });
  expect([reply.status, reply.body.errors]).toEqual([
    422,
    [expect.objectContaining({ pointer: '/overlap_seconds' })],
  ]);
});
