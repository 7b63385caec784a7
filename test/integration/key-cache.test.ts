/** Two API processes on one database: what one changes, the other hears of. */
import { Client } from 'pg';
import { formatKey } from '../../src/domain/key/key-format';
import { call, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, patchKey, revokeKey, rotateKey } from '../support/keys';
import { type OwnServer, startOwnRedis } from '../support/own-servers';
import { until } from '../support/wait';

/** Five times what is promised: two cores run all of this. */
const REVOKED_WITHIN_MS = 5 * 1_000;
const PLAN_WITHIN_MS = 5 * 2_000;

let redis: OwnServer & { url: string };
let one: TestApi;
let two: TestApi;
let database: Client;

beforeAll(async () => {
  redis = await startOwnRedis();
  one = await startApi({ REDIS_URL: redis.url });
  two = await startApi({}, one);
  database = new Client({ connectionString: one.databaseUrl });
  await database.connect();
});

afterAll(async () => {
  await database.end();
  await two.close();
  await one.close();
  await redis.remove();
});

const me = (api: TestApi, key: string) => call(api, '/v1/me', { key });

/** Both processes remember the key. */
async function warm(key: string): Promise<void> {
  for (const api of [one, two]) expect((await me(api, key)).status).toBe(200);
}

async function stopsOnBoth(key: string, code: string): Promise<void> {
  const stopped = (api: TestApi) => async () => (await me(api, key)).body.code === code;
  await Promise.all(
    [one, two].map((api) => until(`the end of the key: ${code}`, stopped(api), REVOKED_WITHIN_MS)),
  );
}

test('a key that one process revokes stops on the other', async () => {
  const { id, secret } = await makeKey(one, ['jobs:read']);
  await warm(secret);
  expect((await revokeKey(one, id)).status).toBe(204);
  await stopsOnBoth(secret, 'key_revoked');
});

test('a secret that one process rotates out stops on the other, where the new one works at once', async () => {
  const { id, secret } = await makeKey(one, ['jobs:read']);
  await warm(secret);
  const { body } = await rotateKey(two, id);
  await warm(body.secret);
  await stopsOnBoth(secret, 'key_expired');
});

test('a key that is shut out from an address is shut out by both', async () => {
  const { id, secret } = await makeKey(one, ['jobs:read']);
  await warm(secret);
  await patchKey(two, id, { key: one.adminKey, body: { allowed_cidrs: ['192.0.2.0/24'] } });
  await stopsOnBoth(secret, 'address_not_allowed');
});

test('the keys of a tenant that is deleted stop on both', async () => {
  const tenant = await makeTenant(one);
  const { secret } = await makeKey(one, ['jobs:read'], { tenant_id: tenant });
  await warm(secret);
  const deleted = await call(one, `/v1/tenants/${tenant}`, { method: 'DELETE', key: one.adminKey });
  expect(deleted.status).toBe(204);
  await stopsOnBoth(secret, 'unauthenticated');
});

async function seesPlan(key: string, plan: string, limit: unknown): Promise<void> {
  const sees = (api: TestApi) => async () => {
    const { body } = await me(api, key);
    return body.plan === plan && body.limits.items_per_job === limit;
  };
  await Promise.all([one, two].map((api) => until(`the plan ${plan}`, sees(api), PLAN_WITHIN_MS)));
}

describe('what a tenant may use', () => {
  let tenant: string;
  let key: string;
  beforeAll(async () => {
    tenant = await makeTenant(one, 'basic');
    key = (await makeKey(one, ['jobs:read'], { tenant_id: tenant })).secret;
  });

  const subscribe = (body: unknown) =>
    call(one, `/v1/tenants/${tenant}/subscription`, { method: 'PUT', key: one.adminKey, body });

  test('follows its subscription on both', async () => {
    await warm(key);
    expect((await subscribe({ plan: 'premium' })).status).toBe(200);
    await seesPlan(key, 'premium', 10_000_000);
  });

  test('follows a change of the plan itself', async () => {
    await call(one, '/v1/plans', { key: one.adminKey, body: { name: 'own', items_per_job: 10 } });
    await subscribe({ plan: 'own' });
    await seesPlan(key, 'own', 10);
    await call(two, '/v1/plans/own', { method: 'PATCH', key: one.adminKey, body: { items_per_job: 20 } });
    await seesPlan(key, 'own', 20);
  });

  test('changes when the time of a later subscription comes, with nobody to tell of it', async () => {
    const valid_from = new Date(Date.now() + 1_500).toISOString();
    expect((await subscribe({ plan: 'free', valid_from })).status).toBe(200);
    await seesPlan(key, 'free', 10_000);
  });
});

test('what is remembered needs no look-up while the log of changes is followed', async () => {
  const { secret } = await makeKey(one, ['jobs:read']);
  const asked = (): Promise<number> =>
    call(one, '/v1/plans/free', { key: secret }).then(({ status }) => status);
  expect(await asked()).toBe(200);
  await database.query('begin; lock table api_key_secrets in access exclusive mode');
  try {
    // No look-up could come through, for as long as this test likes.
    for (let n = 0; n < 20; n++) expect(await asked()).toBe(200);
  } finally {
    await database.query('rollback');
  }
});

test('many made-up keys are refused without a look-up each time', async () => {
  const madeUp = formatKey('C'.repeat(30));
  expect((await me(one, madeUp)).status).toBe(401);
  await database.query('begin; lock table api_key_secrets in access exclusive mode');
  try {
    for (let n = 0; n < 20; n++) expect((await me(one, madeUp)).body.code).toBe('unauthenticated');
  } finally {
    await database.query('rollback');
  }
});

describe('while redis is away', () => {
  beforeAll(() => redis.end());
  afterAll(() => redis.start());

  test('a key that one process revokes still stops on the other', async () => {
    const { id, secret } = await makeKey(one, ['jobs:read']);
    await warm(secret);
    expect((await revokeKey(two, id)).status).toBe(204);
    await stopsOnBoth(secret, 'key_revoked');
  });

  test('a plan that changes is still seen', async () => {
    const tenant = await makeTenant(one, 'free');
    const { secret } = await makeKey(one, ['jobs:read'], { tenant_id: tenant });
    await warm(secret);
    await call(one, `/v1/tenants/${tenant}/subscription`, {
      ...{ method: 'PUT', key: one.adminKey, body: { plan: 'premium' } },
    });
    await seesPlan(secret, 'premium', 10_000_000);
  });
});
