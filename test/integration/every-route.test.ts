/** What holds for every route there is: made from the OpenAPI document, so that a new route cannot be left out. */
import { randomBytes } from 'node:crypto';
import { formatKey } from '../../src/domain/key/key-format';
import { type Scope, SCOPES } from '../../src/domain/key/scopes';
import { newId } from '../../src/platform/clock';
import { createChunkTokens } from '../../src/platform/secrets/chunk-token';
import { grantFor } from '../support/chunk-api';
import { outcome } from '../support/keys';
import { FIXTURES, fixtureOf } from '../support/route-fixtures';
import {
  apartFromOccurrence,
  expectLimits,
  expectNoTraces,
  expectSuccess,
} from '../support/route-fixtures/expect';
import type { RequestParts } from '../support/route-fixtures/fixture';
import { documented, type Operation } from '../support/route-fixtures/operations';
import { rowsOfTenant } from '../support/route-fixtures/rows';
import { startWorld, TENANT_SCOPES, tokensOf, type World } from '../support/route-fixtures/world';

const { document, operations, asking } = documented();
const KEYED = asking('apiKey');

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.close());

const rowsOfA = () => rowsOfTenant(world.database, world.a.tenantId);

/** Of tenant A, one for each set of scopes. */
const keys = new Map<string, Promise<string>>();
function keyOfA(scopes: readonly Scope[]): Promise<string> {
  // A key has some scope: one that none of these routes asks for.
  const wanted: readonly Scope[] = scopes.length === 0 ? ['events:read'] : scopes;
  const key = keys.get(wanted.join()) ?? world.a.keyWith(wanted).then(({ secret }) => secret);
  keys.set(wanted.join(), key);
  return key;
}

describe('the table of fixtures', () => {
  test('has every route of the document, asking for what that asks for, and no other', () => {
    const asked = Object.fromEntries(operations.map(({ id, asks }) => [id, asks]));
    expect(Object.fromEntries(Object.entries(FIXTURES).map(([id, { asks }]) => [id, asks]))).toEqual(asked);
  });

  test('is that of the document which the API serves', async () => {
    const served = await fetch(`${world.api.url}/openapi.json`);
    expect(await served.json()).toEqual(document);
  });

  test('asks for a secret where one is given, and nowhere else', () => {
    const giving = operations.filter(({ givesSecret }) => givesSecret).map(({ id }) => id);
    expect(giving.sort()).toEqual(['createApiKey', 'createStreamTicket', 'rotateApiKey']);
  });

  test.each(KEYED)('%s: knows of each id in it whose thing it may be', (id, { inputs }) => {
    const { ids = {}, noIds = {} } = fixtureOf(id, 'apiKey');
    const looksLikeOne = inputs.filter((place) => /[._]id$/.test(place));
    expect([...Object.keys(ids), ...Object.keys(noIds)].sort()).toEqual([...new Set(looksLikeOne)].sort());
  });
});

describe('a request without a good key is refused and does nothing', () => {
  type Attempt = readonly [title: string, headers: Record<string, string>, status: number, code: string];
  let attempts: Attempt[];
  beforeAll(async () => {
    const { a, api } = world;
    const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });
    const [good, revoked, rotated, elsewhere, expired] = await Promise.all([
      a.keyWith(SCOPES),
      a.keyWith(SCOPES),
      a.keyWith(SCOPES),
      a.keyWith(SCOPES, { allowed_cidrs: ['192.0.2.0/24', '2001:db8::/32'] }),
      api.createKey({ tenantId: a.tenantId, scopes: SCOPES, expiresAt: new Date(Date.now() - 1_000) }),
    ]);
    await a.asAdmin('DELETE', `/v1/api-keys/${revoked.id}`);
    await a.asAdmin('POST', `/v1/api-keys/${rotated.id}/rotate`);
    world.secrets.add(expired);
    const { secret } = good;
    const miscounted = secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0');
    const { token } = await a.lend();
    const spoofed = { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1', 'X-Real-IP': '192.0.2.1' };
    attempts = [
      ['no key', {}, 401, 'unauthenticated'],
      [
        'a key where none is looked for',
        { 'X-Api-Key': secret, Cookie: `key=${secret}` },
        401,
        'unauthenticated',
      ],
      ['a key without a scheme', { Authorization: secret }, 401, 'unauthenticated'],
      ['another scheme', { Authorization: `Basic ${btoa(`${secret}:`)}` }, 401, 'unauthenticated'],
      ['a scheme alone', { Authorization: 'Bearer' }, 401, 'unauthenticated'],
      ['two keys', bearer(`${secret},${secret}`), 401, 'unauthenticated'],
      ['a malformed key', bearer(secret.slice(0, -1)), 401, 'unauthenticated'],
      ['a key with a wrong checksum', bearer(miscounted), 401, 'unauthenticated'],
      ['a key that nobody made', bearer(unknownKey()), 401, 'unauthenticated'],
      ['the token of a chunk', bearer(token), 401, 'unauthenticated'],
      ['an expired key', bearer(expired), 401, 'key_expired'],
      ['a revoked key', bearer(revoked.secret), 401, 'key_revoked'],
      ['a secret that was rotated out', bearer(rotated.secret), 401, 'key_expired'],
      ['a key from elsewhere', bearer(elsewhere.secret), 403, 'address_not_allowed'],
      ['one that says it is there', { ...bearer(elsewhere.secret), ...spoofed }, 403, 'address_not_allowed'],
    ];
  });

  test.each(KEYED)('%s', async (id, operation) => {
    const request = await fixtureOf(id, 'apiKey').request(world.a);
    const before = await rowsOfA();
    const replies = await Promise.all(
      attempts.map(([, headers]) => world.ask(operation, request, { headers })),
    );
    const got = replies.map((reply, at) => [attempts[at]?.[0], ...outcome(reply)]);
    expect(got).toEqual(attempts.map(([title, , status, code]) => [title, status, code]));
    for (const { status, headers } of replies) {
      if (status === 401) expect(headers.get('www-authenticate')).toMatch(/^Bearer realm="millrace"/);
      expect(headers.get('ratelimit')).toBeNull();
    }
    if (operation.method === 'GET') {
      const { status } = await world.ask(operation, request, { method: 'HEAD' });
      expect([401, 405]).toContain(status);
    }
    expect(await rowsOfA()).toEqual(before);
  });
});

test.each(KEYED)('%s is not let in by another spelling of its address', async (id, operation) => {
  const { path: params = {} } = await fixtureOf(id, 'apiKey').request(world.a);
  const at = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
  const spellings = [
    `${at}/`,
    `${at}//`,
    `/${at}`,
    at.toUpperCase(),
    at.replace('v1', '%761'),
    `/healthz/..${at}`,
  ];
  const more = [`${at}%2f`, `${at}%00`, `${at};public`, `${at}?public`, `/docs/assets/..%2f..${at}`];
  for (const spelling of [...spellings, ...more]) {
    const { status } = await fetch(world.api.url + spelling, {
      method: operation.method,
      redirect: 'manual',
    });
    expect([400, 401, 404, 405, 422]).toContain(status);
  }
});

test.each(KEYED)('%s does not repeat a key that was sent in the wrong place', async (_id, operation) => {
  const key = await keyOfA(SCOPES);
  const misplaced: RequestParts[] = [{ path: pathOf(operation, 'any'), query: { [key]: key } }];
  if (operation.path.includes('{')) misplaced.push({ path: pathOf(operation, key) });
  if (operation.inputs.some((place) => place.startsWith('body.')))
    misplaced.push({ path: pathOf(operation, 'any'), body: { [key]: key } });
  for (const parts of misplaced) {
    const { status, text } = await world.ask(operation, parts, { key });
    expect([404, 415, 422]).toContain(status);
    expect(text).not.toContain(key);
  }
});

describe('a key needs the scopes of a route, and no others', () => {
  const scoped = KEYED.filter(([, { scopes }]) => scopes.length > 0);
  test.each(scoped)('%s is refused to one with all others, by name', async (id, operation) => {
    const request = await fixtureOf(id, 'apiKey').request(world.a);
    const others = (missing: Scope) => keyOfA(TENANT_SCOPES.filter((scope) => scope !== missing));
    await Promise.all(operation.scopes.map(others));
    const before = await rowsOfA();
    for (const missing of operation.scopes) {
      const reply = await world.ask(operation, request, { key: await others(missing) });
      expect(outcome(reply)).toEqual([403, 'missing_scope']);
      expect(reply.body.detail).toContain(missing);
      expectLimits(reply);
    }
    expect(await rowsOfA()).toEqual(before);
  });

  test.each(KEYED)('%s is given to one with just these', async (id, operation) => {
    const { request: make, takes = [] } = fixtureOf(id, 'apiKey');
    const key = await keyOfA([...operation.scopes, ...takes]);
    const reply = await world.ask(operation, await make(world.a), { key });
    expectSuccess(operation, reply);
    expectLimits(reply);
  });
});

test.each(KEYED)('%s is refused when the limit of the tenant is used up', async (_id, operation) => {
  const key = await usedUp();
  const reply = await world.ask(operation, { path: pathOf(operation, 'any') }, { key });
  expect(outcome(reply)).toEqual([429, 'rate_limited']);
  expect(reply.body['violated-policies']).toEqual(['day']);
  expect(reply.headers.get('ratelimit-policy')).toBe('"day";q=1;w=86400');
  expect(reply.headers.get('ratelimit')).toMatch(/^"day";r=0;t=\d+$/);
  expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
});

/** A key with everything, of a tenant that may ask once a day and has. */
let asked: Promise<string> | undefined;
function usedUp(): Promise<string> {
  const ask = async (): Promise<string> => {
    const plan = `once-${randomBytes(4).toString('hex')}`;
    await world.a.asAdmin('POST', '/v1/plans', { name: plan, requests_per_day: 1 });
    const { keyWith } = await world.newOwner(plan);
    const { secret } = await keyWith(SCOPES);
    await fetch(`${world.api.url}/v1/me`, { headers: { Authorization: `Bearer ${secret}` } });
    return secret;
  };
  asked ??= ask();
  return asked;
}

describe('a lent chunk', () => {
  test.each(asking('chunkToken'))('%s: is for the holder of its token alone', async (id, operation) => {
    const { a, b, api } = world;
    const { request } = fixtureOf(id, 'chunkToken');
    const { token, ...parts } = await request(a);
    const theirs = await request(b);
    const jobId = parts.path?.['id'] ?? '';
    const grant = grantFor({ tenantId: a.tenantId, jobId, no: 0 });
    const over = tokensOf(api).sign({ ...grant, expiresAt: new Date(Date.now() - 1_000) });
    const forged = createChunkTokens([randomBytes(32)]).sign(grant);
    const bent = token.slice(0, -2) + (token.endsWith('AA') ? 'BB' : 'AA');
    const before = await rowsOfA();
    const attempts: [string | undefined, number, string][] = [
      [undefined, 401, 'invalid_chunk_token'],
      ['nonsense', 401, 'invalid_chunk_token'],
      [bent, 401, 'invalid_chunk_token'],
      [forged, 401, 'invalid_chunk_token'],
      [a.key, 401, 'invalid_chunk_token'],
      [api.adminKey, 401, 'invalid_chunk_token'],
      [over, 401, 'chunk_token_expired'],
      [theirs.token, 404, 'not_found'],
      [tokensOf(api).sign({ ...grant, no: 1 }), 404, 'not_found'],
    ];
    for (const [key, ...refusal] of attempts) {
      const reply = await world.ask(operation, parts, key === undefined ? {} : { key });
      expect(outcome(reply)).toEqual(refusal);
    }
    const nowhere = { ...parts, path: { ...parts.path, id: newId('job') } };
    const [atTheirs, atNone] = await Promise.all([
      world.ask(operation, parts, { key: theirs.token }),
      world.ask(operation, nowhere, { key: theirs.token }),
    ]);
    expect(apartFromOccurrence(atTheirs)).toEqual(apartFromOccurrence(atNone));
    expect(await rowsOfA()).toEqual(before);
    expectSuccess(operation, await world.ask(operation, parts, { key: token }));
  });
});

test.each(asking('nothing'))(
  '%s answers everybody, and tells nothing of any tenant',
  async (_id, operation) => {
    for (const who of [{}, { key: unknownKey() }, { key: world.a.key }]) {
      const { status, text } = await world.ask(operation, {}, who);
      expect(status).toBe(200);
      for (const id of [...world.a.ids, world.a.tenantId]) expect(text).not.toContain(id);
    }
  },
);

test('no key and no token of all this stands where it has no business', () => expectNoTraces(world));

/** With one value for every parameter. */
function pathOf({ path }: Operation, value: string): Record<string, string> {
  return Object.fromEntries([...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => [name, value]));
}

function unknownKey(): string {
  return formatKey(randomBytes(15).toString('hex'));
}
