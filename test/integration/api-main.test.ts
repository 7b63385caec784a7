import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { createTestDatabase, type TestDatabase, testServers } from '../support/servers';

/** The compiled program as a process of its own. */
let database: TestDatabase;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await database.drop();
});

function environment(): Record<string, string> {
  const { redisUrl, temporalAddress } = testServers();
  return {
    PATH: process.env.PATH ?? '',
    DATABASE_URL: database.url,
    REDIS_URL: redisUrl,
    MILLRACE_REDIS_PREFIX: `test:${randomBytes(6).toString('hex')}:`,
    TEMPORAL_ADDRESS: temporalAddress,
    MILLRACE_SECRET_KEYS: randomBytes(32).toString('base64'),
    HOST: '127.0.0.1',
    PORT: '0',
  };
}

function start(args: string[], env = environment()): ChildProcess {
  const main = path.resolve(__dirname, '../../dist/src/main.js');
  const child = fork(main, args, { env, silent: true, execArgv: [] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function run(args: string[], env = environment()): Promise<{ code: number; out: string; err: string }> {
  const child = start(args, env);
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk) => (out += String(chunk)));
  child.stderr?.on('data', (chunk) => (err += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, out, err };
}

test('an unknown command explains itself and exits 64', async () => {
  const commands = [
    ...[['nonsense'], [], ['admin'], ['admin', 'bootstrap', 'x'], ['admin', 'revoke-key']],
    ...[
      ['--scopes', 'jobs:rewrite'],
      ['--expires-at', 'tomorrow'],
      ['--colour', 'red'],
    ].map((rest) => ['admin', 'create-key', ...rest]),
  ];
  for (const args of commands) {
    const { code, err } = await run(args);
    expect([code, err]).toEqual([64, expect.stringContaining('usage: main')]);
  }
});

test('an environment with problems names all of them and exits 78', async () => {
  const { code, err } = await run(['api'], {
    ...environment(),
    PORT: 'x',
    REDIS_URL: '',
    TEMPORAL_ADDRESS: 'x',
  });
  expect(code).toBe(78);
  for (const name of ['PORT', 'REDIS_URL', 'TEMPORAL_ADDRESS']) expect(err).toContain(name);
});

test.each(['api', 'worker'])(
  'a folder of handlers that is not there ends the %s with one plain line, and 78',
  async (role) => {
    const { code, out, err } = await run([role], {
      ...environment(),
      MILLRACE_HANDLERS_DIR: '/no/such/folder',
    });
    expect([code, err]).toEqual([
      78,
      'The configuration has a problem:\n  MILLRACE_HANDLERS_DIR: the folder /no/such/folder cannot be read (ENOENT)\n',
    ]);
    expect(out).not.toContain('ENOENT');
  },
);

test('of two first starts at once one makes the tenant and its key, and a later one nothing', async () => {
  const both = await Promise.all([run(['admin', 'bootstrap']), run(['admin', 'bootstrap'])]);
  const printed = both
    .map(({ out }) => JSON.parse(out))
    .sort((a, b) => Object.keys(a).length - Object.keys(b).length);
  expect(printed).toEqual([
    {},
    { tenant_id: expect.stringMatching(/^tnt_/), admin_key: expect.stringMatching(/^mrk_[0-9A-Za-z]{36}$/) },
  ]);
  expect(JSON.parse((await run(['admin', 'bootstrap'])).out)).toEqual({});
  const tenant = printed[1].tenant_id;
  const key = await run(['admin', 'create-key', '--tenant', tenant, '--scopes', 'jobs:read,jobs:write']);
  expect(JSON.parse(key.out)).toEqual({
    key_id: expect.stringMatching(/^key_/),
    key: expect.stringMatching(/^mrk_/),
  });
});

test('migrations run once, also by two at once', async () => {
  const both = await Promise.all([run(['migrate']), run(['migrate'])]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
});

test('the API says when it is ready, outlives whoever started it, and SIGTERM ends it with 0', async () => {
  const child = start(['api']);
  const exited = once(child, 'exit');
  const [ready] = (await once(child, 'message')) as [{ type: string; port: number }];
  expect(ready).toEqual({ type: 'ready', port: expect.any(Number) });
  child.disconnect();
  const health = await fetch(`http://127.0.0.1:${ready.port}/healthz`);
  expect(health.status).toBe(200);
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('an API whose port is taken says so and exits 1', async () => {
  const child = start(['api']);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  const second = await run(['api'], { ...environment(), PORT: String(port) });
  expect([second.code, second.out]).toEqual([1, expect.stringContaining('EADDRINUSE')]);
  child.kill('SIGTERM');
  await once(child, 'exit');
});
