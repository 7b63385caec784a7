/** A key is shown once, in the answer that makes it, and is nowhere in clear after that. */
import { randomBytes } from 'node:crypto';
import Redis from 'ioredis';
import { Client } from 'pg';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, patchKey, revokeKey, rotateKey } from '../support/keys';
import { until } from '../support/wait';

let api: TestApi;
let database: Client;
/** every key there was */
const secrets: string[] = [];
/** every answer but those that show a new key */
const answers: string[] = [];

/** Without the address and the request id, which go back to the very asker as they came. */
const note = ({ text, headers, body }: Reply): void => {
  const { instance: _address, request_id: _id, ...rest } = body ?? {};
  const others = [...headers].filter(([name]) => name !== 'x-request-id');
  answers.push(body === undefined ? text : JSON.stringify(rest), JSON.stringify(others));
};

/** All that a key goes through. */
beforeAll(async () => {
  api = await startApi();
  database = new Client({ connectionString: api.databaseUrl });
  await database.connect();
  secrets.push(api.adminKey);
  const headers = { 'Idempotency-Key': randomBytes(6).toString('hex') };
  const made = await call(api, '/v1/api-keys', {
    ...{
      key: api.adminKey,
      headers,
      body: { name: 'canary', scopes: ['keys:write', 'keys:read', 'jobs:read'] },
    },
  });
  const rotated = await rotateKey(api, made.body.id, {
    headers: { 'Idempotency-Key': 'rotate' },
    body: { overlap_seconds: 60 },
  });
  const other = await makeKey(api, ['jobs:read']);
  secrets.push(made.body.secret, rotated.body.secret, other.secret);
  const key: string = rotated.body.secret;
  note(await call(api, '/v1/me', { key }));
  note(await call(api, '/v1/api-keys', { key }));
  note(await patchKey(api, made.body.id, { key, body: { name: 'renamed' } }));
  // Where people put keys by mistake.
  note(await call(api, `/v1/me?key=${key}`, { key }));
  note(await call(api, `/v1/api-keys/${key}`, { key }));
  note(await call(api, `/v1/${key}`, { key, headers: { 'X-Request-Id': key } }));
  note(await call(api, '/v1/me', { headers: { Authorization: `Basic ${key}` } }));
  note(await call(api, '/v1/me', { key: `${key}x` }));
  note(await call(api, '/v1/api-keys', { key, body: { name: 'x', scopes: [key] } }));
  note(await call(api, '/v1/api-keys', { key, body: `{"name": ${key}}` }));
  note(await revokeKey(api, other.id));
  await until('the key to stop', async () => {
    const reply = await call(api, '/v1/me', { key: other.secret });
    note(reply);
    return reply.status === 401;
  });
});

afterAll(async () => {
  await database.end();
  await api.close();
});

/** As it could lie about: itself, in hex as bytes are shown, in base64 whatever stands before it. */
function shapesOf(secret: string): string[] {
  const bytes = Buffer.from(secret.slice(4));
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(4, -4),
  );
  return [secret.slice(4), bytes.toString('hex'), ...base64];
}

function expectNone(text: string): void {
  expect(secrets).toHaveLength(4);
  for (const shape of secrets.flatMap(shapesOf)) expect(text.includes(shape)).toBe(false);
}

test('the search finds what it looks for, in each shape', () => {
  const [secret = ''] = secrets;
  for (const text of [
    `Bearer ${secret}`,
    Buffer.from(`{"a":"${secret}"}`).toString('hex'),
    ...[0, 1, 2].map((n) => Buffer.from(`${'x'.repeat(n)}${secret}`).toString('base64')),
  ]) {
    expect(() => expectNone(text)).toThrow();
  }
});

test('not in the log', () => {
  const lines = api.logged().map((line) => JSON.stringify(line));
  expect(lines.length).toBeGreaterThan(20);
  expectNone(lines.join('\n'));
});

test('not in any other answer', () => {
  expect(answers.length).toBeGreaterThan(20);
  expectNone(answers.join('\n'));
});

test('not in any table', async () => {
  const { rows: tables } = await database.query<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  expect(tables.length).toBeGreaterThan(10);
  let rowsSeen = 0;
  for (const { name } of tables) {
    const { rows } = await database.query<{ row: string }>(`select t::text as row from ${name} t`);
    rowsSeen += rows.length;
    expectNone(rows.map(({ row }) => row).join('\n'));
  }
  expect(rowsSeen).toBeGreaterThan(10);
});

test('not in redis', async () => {
  const redis = new Redis(api.environment['REDIS_URL'] ?? '');
  try {
    const found = await redis.keys(`${api.environment['MILLRACE_REDIS_PREFIX']}*`);
    const values = await Promise.all(found.map((name) => redis.dump(name).then((value) => value ?? '')));
    expectNone([...found, ...values].join('\n'));
  } finally {
    redis.disconnect();
  }
});
