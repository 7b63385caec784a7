/** Who is let in, with a limit on failures and look-ups that the test holds in its hand. */
import { createClientAddress } from '../../src/api/access/client-address';
import { createKeyCache } from '../../src/api/access/key-cache';
import type { KnownKey } from '../../src/api/access/ports';
import { createApp } from '../../src/api/app';
import { ok } from '../../src/api/respond';
import { defineRoute } from '../../src/api/route';
import { createApiServer } from '../../src/api/server';
import { formatKey } from '../../src/domain/key/key-format';
import { createLogger } from '../../src/platform/logger';
import { createKeyMint } from '../../src/platform/secrets/key-mint';
import { call, type Reply } from '../support/api';
import { noRateLimit } from '../support/limits';
import { knownKey } from '../support/principal';

const mint = createKeyMint();
const log = createLogger({ level: 'silent', role: 'api' });
let url: string;
let close: () => Promise<unknown>;

/** by hash in hex */
let stored: Map<string, KnownKey>;
let lookUps: number;
let failed: string[];
/** addresses, to seconds */
let blocked: Map<string, number>;
let now: Date;
let monotonicMs: number;

function refuse(): never {
  throw new Error('not for these tests');
}

function add(change: Partial<KnownKey> = {}): string {
  const { secret } = mint.mint();
  stored.set(mint.hashText(secret), knownKey({ scopes: ['jobs:read'], ...change }));
  return secret;
}

const paths = { whoami: '/v1/whoami', admin: '/v1/admin', open: '/open' };

beforeEach(async () => {
  [stored, lookUps, failed, blocked] = [new Map(), 0, [], new Map()];
  [now, monotonicMs] = [new Date('2030-01-01T00:00:00Z'), 1_000];
  const documented = {
    method: 'get',
    summary: 'x',
    tags: ['x'],
    responses: { 200: { description: 'x' } },
  } as const;
  const app = createApp({
    routes: [
      defineRoute({
        ...{ ...documented, path: paths.whoami, operationId: 'whoami', scopes: [] },
        handler: async ({ principal, ctx }) => ok({ key: principal.keyId, address: ctx.state.clientAddress }),
      }),
      defineRoute({
        ...{ ...documented, path: paths.admin, operationId: 'admin', scopes: ['admin'] },
        handler: async () => ok({}),
      }),
      defineRoute({
        ...{ ...documented, path: paths.open, operationId: 'open', scopes: 'public' },
        handler: async ({ principal }) => ok({ principal: principal ?? null }),
      }),
    ],
    log,
    newRequestId: () => 'req_test',
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    clientAddress: createClientAddress(['127.0.0.0/8']),
    keys: createKeyCache({
      lookup: {
        findByHash: async (hash) => {
          lookUps += 1;
          return stored.get(Buffer.from(hash).toString('hex'));
        },
      },
      knownUntil: () => monotonicMs,
      monotonicMs: () => monotonicMs,
    }),
    hashKey: mint.hashText,
    failures: {
      blocked: async (address) => blocked.get(address),
      failed: async (address) => void failed.push(address),
    },
    now: () => now,
    idempotency: { claim: refuse, complete: refuse, release: refuse },
    transact: refuse,
    secretBox: { seal: refuse, open: refuse },
  });
  const respond = app.callback();
  const server = createApiServer({
    listener: (req, res) => void respond(req, res),
    newRequestId: () => 'req_test',
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${port}`;
  close = () => server.drain(0);
});

afterEach(() => close());

const ADDRESS = '192.0.2.7';

function ask(
  key: string,
  { from = ADDRESS, path = paths.whoami }: { from?: string; path?: string } = {},
): Promise<Reply> {
  return call({ url }, path, { key, headers: { 'X-Forwarded-For': from } });
}

const outcome = ({ status, body }: Reply): [number, string] => [status, body.code];

const unknown = formatKey('A'.repeat(30));
const miswritten = `${unknown.slice(0, -1)}${unknown.endsWith('0') ? '1' : '0'}`;

describe('look-ups', () => {
  test('a key is looked up once and then remembered, also where it is none', async () => {
    const key = add();
    for (let n = 0; n < 5; n++) {
      expect((await ask(key)).status).toBe(200);
      expect((await ask(unknown)).status).toBe(401);
    }
    expect(lookUps).toBe(2);
  });

  test.each([
    ['a wrong checksum', `Bearer ${miswritten}`],
    ['no key', 'Bearer nonsense'],
    ['another scheme', 'Basic dXNlcjpwYXNz'],
    ['nothing', ''],
  ])('%s costs none', async (_title, authorization) => {
    const headers = authorization === '' ? {} : { Authorization: authorization };
    const reply = await call({ url }, paths.whoami, { headers });
    expect([outcome(reply), lookUps]).toEqual([[401, 'unauthenticated'], 0]);
  });

  test('a public route asks nobody who it is', async () => {
    const reply = await ask(add(), { path: paths.open });
    expect([reply.status, reply.body, lookUps]).toEqual([200, { principal: null }, 0]);
  });
});

describe('what was true when a key was looked up is judged by the clock', () => {
  test.each([
    ['its expiry', (at: Date): Partial<KnownKey> => ({ expiresAt: at })],
    ['the end of a secret that was rotated out', (at: Date): Partial<KnownKey> => ({ secretEndsAt: at })],
  ])('%s', async (_title, ending) => {
    const key = add(ending(new Date('2030-01-01T00:00:10Z')));
    expect((await ask(key)).status).toBe(200);
    now = new Date('2030-01-01T00:00:10Z');
    expect(outcome(await ask(key))).toEqual([401, 'key_expired']);
    expect(lookUps).toBe(1);
  });
});

describe('addresses', () => {
  const inside = { allowedCidrs: ['198.51.100.0/24', '2001:db8::/32'] };

  test('a key with ranges is let in from there and refused from elsewhere', async () => {
    const key = add(inside);
    expect((await ask(key, { from: '198.51.100.200' })).body.address).toBe('198.51.100.200');
    expect((await ask(key, { from: '2001:db8:1::5' })).status).toBe(200);
    expect((await ask(key, { from: '::ffff:198.51.100.1' })).status).toBe(200);
    for (const from of ['198.51.101.1', '2001:db9::1', '127.0.0.1']) {
      expect(outcome(await ask(key, { from }))).toEqual([403, 'address_not_allowed']);
    }
  });

  test('what a client writes into the header itself does not let it in', async () => {
    const reply = await ask(add(inside), { from: '198.51.100.1, 203.0.113.5' });
    expect(outcome(reply)).toEqual([403, 'address_not_allowed']);
  });
});

describe('failures', () => {
  const revokedAt = new Date('2029-01-01T00:00:00Z');
  const cases: [title: string, key: () => string, refused: [number, string]][] = [
    ['an unknown key', () => unknown, [401, 'unauthenticated']],
    ['a miswritten key', () => miswritten, [401, 'unauthenticated']],
    ['no key at all', () => 'nonsense', [401, 'unauthenticated']],
    ['an expired key', () => add({ expiresAt: revokedAt }), [401, 'key_expired']],
    ['a secret that was rotated out', () => add({ secretEndsAt: revokedAt }), [401, 'key_expired']],
    ['a revoked key', () => add({ revokedAt }), [401, 'key_revoked']],
    ['a key from elsewhere', () => add({ allowedCidrs: ['10.0.0.0/8'] }), [403, 'address_not_allowed']],
  ];
  test.each(cases)('%s is one of its address, and past the limit a 429', async (_title, keyOf, refused) => {
    const key = keyOf();
    expect(outcome(await ask(key))).toEqual(refused);
    expect(failed).toEqual([ADDRESS]);
    blocked.set(ADDRESS, 17);
    const reply = await ask(key);
    expect(outcome(reply)).toEqual([429, 'too_many_failures']);
    expect(reply.headers.get('retry-after')).toBe('17');
    expect(outcome(await ask(key, { from: '192.0.2.8' }))).toEqual(refused);
  });

  test('a good key, a missing scope and a request without a key are none', async () => {
    const key = add();
    await ask(key);
    expect(outcome(await ask(key, { path: paths.admin }))).toEqual([403, 'missing_scope']);
    expect(outcome(await call({ url }, paths.whoami))).toEqual([401, 'unauthenticated']);
    expect(failed).toEqual([]);
  });

  test('past the limit keys that nobody has seen here are not looked up, those that were good pass', async () => {
    const [seen, unseen] = [add(), add()];
    await ask(seen);
    blocked.set(ADDRESS, 17);
    expect(outcome(await ask(unseen))).toEqual([429, 'too_many_failures']);
    expect(outcome(await ask(formatKey('B'.repeat(30))))).toEqual([429, 'too_many_failures']);
    expect(lookUps).toBe(1);
    expect((await ask(seen)).status).toBe(200);
    // Also where it must be looked up anew.
    monotonicMs += 3_600_000;
    expect([(await ask(seen)).status, lookUps]).toEqual([200, 2]);
  });
});
