import { ConfigError, loadConfig, type Role } from '../../src/platform/config';
import { VARIABLES } from '../../src/platform/config-variables';

const KEY = Buffer.alloc(32, 7).toString('base64');
const sound = {
  DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:5432/x',
  REDIS_URL: 'redis://127.0.0.1:6379',
  TEMPORAL_ADDRESS: '127.0.0.1:7233',
  MILLRACE_SECRET_KEYS: KEY,
};

function problemsOf(env: Record<string, string>, role: Role = 'api'): readonly string[] {
  try {
    loadConfig(env, role);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).problems;
  }
}

test('defaults fill what may be left out', () => {
  expect(loadConfig(sound, 'api')).toMatchObject({
    role: 'api',
    port: 3000,
    host: '0.0.0.0',
    logLevel: 'info',
    temporal: { address: '127.0.0.1:7233', namespace: 'default', uiUrl: undefined },
    uploads: { bytesMax: 10_000_000_000 },
    expressions: { timeoutMs: 2_000, threads: undefined },
  });
});

test('a worker ends itself after half a minute of standing still, unless it is told never to', () => {
  expect(loadConfig(sound, 'worker')).toMatchObject({ frozenLimitMs: 30_000 });
  expect(loadConfig({ ...sound, MILLRACE_FROZEN_LIMIT_MS: '0' }, 'worker')).toMatchObject({
    frozenLimitMs: 0,
  });
});

test('all problems come at once, by the name of the variable and never with its value', () => {
  const problems = problemsOf({
    DATABASE_URL: 'mysql://u:hunter2@x/y',
    TEMPORAL_ADDRESS: 'nowhere',
    MILLRACE_SECRET_KEYS: 'c2VjcmV0LWh1bnRlcjI=',
    PORT: '99999',
    LOG_LEVEL: 'loud',
    MILLRACE_EXPRESSION_TIMEOUT_MS: '2s',
  });
  const names = problems.map((problem) => problem.split(/[: ]/)[0]).sort();
  expect(names).toEqual([
    'DATABASE_URL',
    'LOG_LEVEL',
    'MILLRACE_EXPRESSION_TIMEOUT_MS',
    'MILLRACE_SECRET_KEYS',
    'PORT',
    'REDIS_URL',
    'TEMPORAL_ADDRESS',
  ]);
  expect(problems.join()).not.toMatch(/hunter2|c2Vj/);
});

test('API and worker do not start without a secret key; migrate and admin need none', () => {
  const { MILLRACE_SECRET_KEYS: _, ...bare } = sound;
  expect(problemsOf(bare, 'api')).toEqual(['MILLRACE_SECRET_KEYS is needed']);
  expect(problemsOf(bare, 'worker')).toEqual(['MILLRACE_SECRET_KEYS is needed']);
  expect(
    problemsOf({ DATABASE_URL: sound.DATABASE_URL, TEMPORAL_ADDRESS: sound.TEMPORAL_ADDRESS }, 'migrate'),
  ).toEqual([]);
  expect(problemsOf({ DATABASE_URL: sound.DATABASE_URL }, 'admin')).toEqual([]);
});

test('a key that is not 32 bytes of base64, or the one of .env.example, is refused', () => {
  const tooShort = Buffer.alloc(31).toString('base64');
  for (const keys of [tooShort, `${KEY},${tooShort}`, `${KEY},`, VARIABLES.MILLRACE_SECRET_KEYS.example]) {
    expect(problemsOf({ ...sound, MILLRACE_SECRET_KEYS: keys })).toHaveLength(1);
  }
  const two = loadConfig({ ...sound, MILLRACE_SECRET_KEYS: `${KEY}, ${KEY}` }, 'worker');
  expect(two.secretKeys.map((key) => key.length)).toEqual([32, 32]);
});

test('a variable set to nothing counts as not set', () => {
  expect(loadConfig({ ...sound, PORT: '', MILLRACE_HANDLERS_DIR: '' }, 'api')).toMatchObject({
    port: 3000,
    handlersDir: undefined,
  });
  expect(problemsOf({ ...sound, REDIS_URL: '' })).toEqual(['REDIS_URL is needed']);
});

test('private addresses are opened range by range, and none where nothing is said', () => {
  expect(loadConfig(sound, 'worker').egressAllow).toEqual([]);
  const wish = { ...sound, MILLRACE_EGRESS_ALLOW: '127.0.0.0/8, fd00::/8,10.0.0.7' };
  expect(loadConfig(wish, 'api').egressAllow).toEqual(['127.0.0.0/8', 'fd00::/8', '10.0.0.7']);
  for (const bad of ['10.0.0.0/33', 'localhost', '10.0.0.0/8,', '10/8', '::/0/0', '*']) {
    expect(problemsOf({ ...sound, MILLRACE_EGRESS_ALLOW: bad })).toEqual([
      expect.stringMatching(/^MILLRACE_EGRESS_ALLOW: expected addresses in CIDR notation/),
    ]);
  }
});

test('nobody can change it', () => {
  const config = loadConfig(sound, 'api');
  expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError);
  expect(() => Object.assign(config.uploads, { perTenant: 1 })).toThrow(TypeError);
});

test('durations and sizes carry their unit in the name', () => {
  for (const name of Object.keys(VARIABLES)) {
    if (/TIMEOUT|GRACE|INTERVAL|DELAY/.test(name)) expect(name).toMatch(/_(MS|SECONDS)$/);
  }
});
