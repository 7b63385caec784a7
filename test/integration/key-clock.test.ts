/** Ends of keys and secrets come by the clock of the database, also in a process whose own clock is an hour wrong. */
import { Client } from 'pg';
import { call, startApi, type TestApi } from '../support/api';
import { type MadeKey, makeKey, outcome, rotateKey } from '../support/keys';
import { until } from '../support/wait';
import { setClockWrong } from '../support/wrong-clock';

const HOUR_MS = 3_600_000;

let api: TestApi;
let database: Client;
let setRight: (() => void) | undefined;

beforeAll(async () => {
  api = await startApi();
  database = new Client({ connectionString: api.databaseUrl });
  await database.connect();
});

afterEach(() => {
  setRight?.();
  setRight = undefined;
});

afterAll(async () => {
  await database.end();
  await api.close();
});

const me = (key: string) => call(api, '/v1/me', { key });

/** Nobody has asked with it yet, so nobody remembers anything else. */
async function endKeyIn(key: MadeKey, seconds: number): Promise<void> {
  const sql = `update api_keys set expires_at = now() + $2 * interval '1 second' where prefix = $1`;
  await database.query(sql, [key.prefix, seconds]);
}

async function endSecretIn(key: MadeKey, seconds: number): Promise<void> {
  const { status } = await rotateKey(api, key.id, { body: { overlap_seconds: seconds } });
  expect(status).toBe(201);
}

describe.each([
  ['a key', endKeyIn],
  ['a secret that was rotated out', endSecretIn],
])('%s', (_title, endIn) => {
  test('ends in time where the clock is behind', async () => {
    const key = await makeKey(api, ['jobs:read']);
    setRight = setClockWrong(-HOUR_MS);
    await endIn(key, 3);
    // Looked up once, and then as this process remembers it.
    for (let n = 0; n < 2; n++) expect((await me(key.secret)).status).toBe(200);
    await until('its end', async () => (await me(key.secret)).body.code === 'key_expired', 15_000);
  });

  test('does not end before where the clock is ahead', async () => {
    const key = await makeKey(api, ['keys:write', 'keys:read', 'jobs:read']);
    setRight = setClockWrong(HOUR_MS);
    await endIn(key, 1_800);
    for (let n = 0; n < 2; n++) expect((await me(key.secret)).status).toBe(200);
    const body = { name: 'made', scopes: ['jobs:read'] };
    const made = await call(api, '/v1/api-keys', { key: key.secret, body });
    expect(outcome(made)).toEqual([201]);
    const shown = await call(api, `/v1/api-keys/${key.id}`, { key: key.secret });
    expect(shown.body.status).toBe('active');
    expect((await rotateKey(api, key.id, { key: key.secret })).status).toBe(201);
  });
});
