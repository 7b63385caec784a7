/** Who is let in, with a limit on failures and look-ups that the test holds in its hand. */
import { Agent, get } from 'node:http';
import { text } from 'node:stream/consumers';
import { createClientAddress } from '../../src/api/access/client-address';
import { createKeyCache } from '../../src/api/access/key-cache';
import type { KnownKey, Redeemed } from '../../src/api/access/ports';
import { createApp } from '../../src/api/app';
import { ok } from '../../src/api/respond';
import { defineRoute } from '../../src/api/route';
import { createApiServer } from '../../src/api/server';
import { formatKey, formatTicket } from '../../src/domain/key/key-format';
import { newId } from '../../src/platform/clock';
import { createLogger } from '../../src/platform/logger';
import { createKeyMint } from '../../src/platform/secrets/key-mint';
import { z } from 'zod';
import { call, type Reply } from '../support/api';
import { noRateLimit } from '../support/limits';
import { knownKey } from '../support/principal';
import { until } from '../support/wait';

const mint = createKeyMint();
const log = createLogger({ level: 'silent', role: 'api' });
let url: string;
let close: () => Promise<unknown>;

/** by hash in hex */
let stored: Map<string, KnownKey>;
let lookUps: number;
/** open ones, by hash in hex */
let tickets: Map<string, Redeemed>;
let redeemed: number;
/** requests */
let arrived: number;
let failed: string[];
/** addresses, to seconds */
let blocked: Map<string, number>;
/** that addresses which are blocked still have, together */
let lookUpsLeft: number;
/** of the process; the time of day is nowhere in here */
let monotonicMs: number;
/** Look-ups wait for it. */
let database: Promise<void>;

function refuse(): never {
  throw new Error('not for these tests');
}

function add(change: Partial<KnownKey> = {}): string {
  const { secret } = mint.mint();
  stored.set(mint.hashText(secret), knownKey({ scopes: ['jobs:read'], ...change }));
  return secret;
}

const paths = { whoami: '/v1/whoami', admin: '/v1/admin', open: '/open', stream: '/v1/stream' };

beforeEach(async () => {
  [stored, lookUps, arrived, failed, blocked] = [new Map(), 0, 0, [], new Map()];
  [tickets, redeemed] = [new Map(), 0];
  [lookUpsLeft, monotonicMs, database] = [0, 1_000, Promise.resolve()];
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
        ...{ ...documented, path: paths.stream, operationId: 'stream', scopes: ['jobs:read'] },
        takesTicket: true,
        query: z.strictObject({ types: z.string().optional() }),
        handler: async ({ principal, credential, query }) =>
          ok({ scopes: principal.scopes, credential, query }),
      }),
      defineRoute({
        ...{ ...documented, path: paths.open, operationId: 'open', scopes: 'public' },
        handler: async ({ principal }) => ok({ principal: principal ?? null }),
      }),
    ],
    log,
    newRequestId: () => `req_test${arrived++}`,
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    clientAddress: createClientAddress(['127.0.0.0/8']),
    keys: createKeyCache({
      lookup: {
        findByHash: async (hash) => {
          lookUps += 1;
          await database;
          return stored.get(Buffer.from(hash).toString('hex'));
        },
      },
      knownUntil: () => monotonicMs,
      monotonicMs: () => monotonicMs,
    }),
    hashKey: mint.hashText,
    failures: {
      blocked: async (address) => blocked.get(address),
      lookUpBlocked: async (address) => (blocked.has(address) && lookUpsLeft-- <= 0 ? 1 : undefined),
      failed: async (address) => void failed.push(address),
    },
    tickets: {
      redeem: async (hash) => {
        redeemed += 1;
        return tickets.get(Buffer.from(hash).toString('hex'));
      },
    },
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

  test('keys that take turns on one connection are each themselves', async () => {
    const ids = [newId('key'), newId('key')] as const;
    const keys = ids.map((keyId) => add({ keyId }));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    const whoami = (key: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const request = get(`${url}${paths.whoami}`, { agent, headers: { Authorization: `Bearer ${key}` } });
        request.once('socket', (socket) => sockets.add(socket)).once('error', reject);
        request.once('response', (response) => {
          text(response).then((body) => resolve((JSON.parse(body) as { key: string }).key), reject);
        });
      });
    const answers: string[] = [];
    for (const n of [0, 0, 1, 0, 1, 1]) answers.push(await whoami(keys[n] as string));
    expect(answers).toEqual([0, 0, 1, 0, 1, 1].map((n) => ids[n]));
    expect(sockets.size).toBe(1);
    agent.destroy();
  });

  test('a public route asks nobody who it is', async () => {
    const reply = await ask(add(), { path: paths.open });
    expect([reply.status, reply.body, lookUps]).toEqual([200, { principal: null }, 0]);
  });
});

describe('an end comes when the time that the database gave has gone by, whatever day it is here', () => {
  const [early, late] = [new Date('2000-01-01T00:00:00Z'), new Date('2100-01-01T00:00:00Z')];
  const ends: [title: string, ends: Partial<KnownKey>, told: string][] = [
    ['of the key', { expiresAt: late }, 'This API key expired at 2100-'],
    ['of a secret', { secretEndsAt: late }, 'This secret of the API key was rotated out and ended at 2100-'],
    ['of the key first', { expiresAt: early, secretEndsAt: late }, 'This API key expired at 2000-'],
    ['of the secret first', { expiresAt: late, secretEndsAt: early }, 'This secret of the API key was'],
  ];
  test.each(ends)('%s', async (_title, ending, told) => {
    const key = add({ ...ending, endsInMs: 10_000 });
    expect((await ask(key)).status).toBe(200);
    monotonicMs += 9_999;
    expect((await ask(key)).status).toBe(200);
    monotonicMs += 1;
    const reply = await ask(key);
    expect(outcome(reply)).toEqual([401, 'key_expired']);
    expect(reply.body.detail).toContain(told);
    expect(lookUps).toBe(1);
  });

  test('also where it came while the key was looked up', async () => {
    const key = add({ expiresAt: late, endsInMs: 10_000 });
    let answer = (): void => undefined;
    database = new Promise((resolve) => (answer = resolve));
    const asked = ask(key);
    await until('the look-up', () => lookUps === 1);
    monotonicMs += 10_000;
    answer();
    expect(outcome(await asked)).toEqual([401, 'key_expired']);
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
  const past = new Date('2029-01-01T00:00:00Z');
  const cases: [title: string, key: () => string, refused: [number, string]][] = [
    ['an unknown key', () => unknown, [401, 'unauthenticated']],
    ['a miswritten key', () => miswritten, [401, 'unauthenticated']],
    ['no key at all', () => 'nonsense', [401, 'unauthenticated']],
    ['an expired key', () => add({ expiresAt: past, endsInMs: -1 }), [401, 'key_expired']],
    ['a secret that was rotated out', () => add({ secretEndsAt: past, endsInMs: 0 }), [401, 'key_expired']],
    ['a revoked key', () => add({ revokedAt: past }), [401, 'key_revoked']],
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

  test('past the limit, and without a look-up left, new keys are not looked up; those that were good pass', async () => {
    const [seen, unseen] = [add(), add()];
    await ask(seen);
    blocked.set(ADDRESS, 17);
    for (const key of [unseen, formatKey('B'.repeat(30))]) {
      const reply = await ask(key);
      expect(outcome(reply)).toEqual([429, 'too_many_failures']);
      // Until there is a look-up again, not until the end of the minute.
      expect(reply.headers.get('retry-after')).toBe('1');
    }
    expect(lookUps).toBe(1);
    expect((await ask(seen)).status).toBe(200);
    // Also where it must be looked up anew.
    monotonicMs += 3_600_000;
    expect([(await ask(seen)).status, lookUps]).toEqual([200, 2]);
  });

  test('past the limit a new good key gets in by a look-up that is left, and needs no other', async () => {
    const unseen = add();
    blocked.set(ADDRESS, 17);
    lookUpsLeft = 1;
    for (let n = 0; n < 3; n++) expect((await ask(unseen)).status).toBe(200);
    expect([lookUps, lookUpsLeft, failed]).toEqual([1, 0, []]);
  });

  test('past the limit a bad key takes one look-up, and then none of those that are left', async () => {
    blocked.set(ADDRESS, 17);
    lookUpsLeft = 5;
    for (let n = 0; n < 3; n++) {
      const reply = await ask(unknown);
      expect(outcome(reply)).toEqual([429, 'too_many_failures']);
      expect(reply.headers.get('retry-after')).toBe('17');
    }
    expect([lookUps, lookUpsLeft]).toEqual([1, 4]);
  });

  test('past the limit many requests at once with one new good key take one look-up', async () => {
    const unseen = add();
    blocked.set(ADDRESS, 17);
    lookUpsLeft = 1;
    let answer = (): void => undefined;
    database = new Promise((resolve) => (answer = resolve));
    const all = Array.from({ length: 20 }, () => ask(unseen));
    await until('all to have arrived', () => arrived === 20);
    answer();
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(lookUps).toBe(1);
  });
});

describe('tickets', () => {
  function addTicket(change: Partial<Redeemed> = {}): string {
    const { ticket, hash } = mint.mintTicket();
    const keyHash = mint.hashText(
      add({ scopes: ['jobs:read', 'events:read'], allowedCidrs: ['198.51.100.0/24'] }),
    );
    const hex = Buffer.from(hash).toString('hex');
    const opened = {
      kind: 'opened',
      id: 'tkt_x',
      keyHash,
      scopes: ['jobs:read'],
      topics: null,
      endsInMs: 9,
    } as const;
    tickets.set(hex, { ...opened, ...change });
    return ticket;
  }
  const hold = (ticket: string, { path = paths.stream, more = '' } = {}): Promise<Reply> =>
    call({ url }, `${path}?${more}ticket=${ticket}`, { headers: { 'X-Forwarded-For': ADDRESS } });
  const madeUp = formatTicket('A'.repeat(30));

  test('one lets a stream in, which does not see it, with what it may show and what it hangs on', async () => {
    const ticket = addTicket({ topics: ['tenant'], scopes: ['jobs:read', 'keys:read'] });
    const { status, body } = await hold(ticket, { more: 'types=a.b&' });
    expect([status, body.scopes, body.query]).toEqual([200, ['jobs:read'], { types: 'a.b' }]);
    const keyHash = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(body.credential).toEqual({
      ...{ keyHash, address: ADDRESS, ticket: { id: 'tkt_x', topics: ['tenant'], endsInMs: 9 } },
    });
  });

  test('a key lets it in likewise, and what comes beside it is not looked at', async () => {
    const { status, body } = await ask(add(), { path: `${paths.stream}?ticket=${madeUp}` });
    expect([status, body.query, redeemed]).toEqual([200, {}, 0]);
    expect(body.credential).toEqual({ keyHash: expect.stringMatching(/^[0-9a-f]{64}$/), address: ADDRESS });
  });

  test.each(['', 'mrt_', unknown, `${madeUp.slice(0, -1)}!`, 'x'.repeat(5_000)])(
    'what can be none (%#) is refused before anything is asked, and counted',
    async (text) => {
      expect(outcome(await hold(text))).toEqual([401, 'invalid_ticket']);
      expect([redeemed, failed]).toEqual([0, [ADDRESS]]);
    },
  );

  test('one that is not known is a failure of its address; past the limit it is not looked for', async () => {
    expect(outcome(await hold(madeUp))).toEqual([401, 'invalid_ticket']);
    expect(failed).toEqual([ADDRESS]);
    blocked.set(ADDRESS, 30);
    const reply = await hold(addTicket());
    expect([outcome(reply), redeemed]).toEqual([[429, 'too_many_failures'], 1]);
  });

  test('one whose key has lost the scope, or is gone, lets nobody in', async () => {
    expect(outcome(await hold(addTicket({ scopes: ['events:read'] })))).toEqual([403, 'missing_scope']);
    expect(outcome(await hold(addTicket({ keyHash: 'ab' })))).toEqual([401, 'invalid_ticket']);
    const keyHash = mint.hashText(add({ revokedAt: new Date() }));
    expect(outcome(await hold(addTicket({ keyHash })))).toEqual([401, 'key_revoked']);
  });

  test('one is nothing to a route that is no stream', async () => {
    expect(outcome(await hold(addTicket(), { path: paths.whoami }))).toEqual([401, 'unauthenticated']);
    expect(redeemed).toBe(0);
  });
});
