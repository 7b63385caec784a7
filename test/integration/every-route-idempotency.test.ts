/** Over every POST: many at once with one Idempotency-Key, at two processes, do what one does. */
import { randomUUID } from 'node:crypto';
import { decodeId } from '../../src/domain/ids';
import { type Reply, startApi, type TestApi } from '../support/api';
import { outcome } from '../support/keys';
import { fixtureOf } from '../support/route-fixtures';
import { expectNoTraces, expectSuccess } from '../support/route-fixtures/expect';
import type { RequestParts } from '../support/route-fixtures/fixture';
import { documented, type Operation } from '../support/route-fixtures/operations';
import { amounts, growth } from '../support/route-fixtures/rows';
import { startWorld, type World } from '../support/route-fixtures/world';

const { operations } = documented();
const KEYED = operations
  .filter(({ takesIdempotencyKey }) => takesIdempotencyKey)
  .map((operation) => [operation.id, operation] as const);

/** POSTs that create and trigger nothing that a fence of their own would not keep from being done twice. */
const FENCED = ['claimChunk', 'postChunkResults'];
const AT_ONCE = 50;

let world: World;
let beside: TestApi;
let key: string;
beforeAll(async () => {
  world = await startWorld();
  beside = await startApi({}, world.api);
  key = (await world.a.keyWith(['admin', 'keys:write'])).secret;
});
afterAll(async () => {
  await beside.close();
  await world.close();
});

test('every POST takes an Idempotency-Key, but for those that a fence makes safe to repeat', () => {
  const posts = operations.filter(({ method }) => method === 'POST');
  const bare = posts.filter(({ takesIdempotencyKey }) => !takesIdempotencyKey).map(({ id }) => id);
  expect(bare).toEqual(FENCED);
});

test.each(KEYED)(`%s: ${AT_ONCE} at once do what one does, and get its answer`, async (id, operation) => {
  const { request } = fixtureOf(id, 'apiKey');
  const effectOf = async (ask: (parts: RequestParts) => Promise<void>) => {
    const parts = await request(world.a);
    const before = await amounts(world.database);
    await ask(parts);
    return growth(before, await amounts(world.database));
  };
  const one = await effectOf(async (parts) => {
    expectSuccess(operation, await world.ask(operation, parts, { key }));
  });
  const header = randomUUID();
  const many = await effectOf(async (parts) => expectOneAnswer(operation, { parts, header }));
  expect(many).toEqual(one);
  const [row] = await world.database.run<{ body: Buffer; route: string }>(
    {
      name: 'test.idempotent_answer',
      text: 'select body, route from idempotency_keys where tenant_id = $1 and key = $2',
    },
    [decodeId('tenant', world.a.tenantId), header],
  );
  expect(row?.route).toBe(`post ${operation.path}`);
  // An answer that holds a secret is kept encrypted.
  expect(row?.body.toString('latin1').includes('"object"')).toBe(!operation.givesSecret);
});

const SHARED = KEYED.filter(([, { scopes }]) => !scopes.includes('admin'));
test.each(SHARED)(
  '%s: what an admin was answered is not for the other keys of its tenant',
  async (id, operation) => {
    const parts = await fixtureOf(id, 'apiKey').request(world.a);
    const headers = { 'Idempotency-Key': randomUUID() };
    expectSuccess(operation, await world.ask(operation, parts, { key, headers }));
    const other = await world.ask(operation, parts, { key: world.a.key, headers });
    expect(outcome(other)).toEqual([422, 'idempotency_mismatch']);
  },
);

async function expectOneAnswer(
  operation: Operation,
  { parts, header }: { parts: RequestParts; header: string },
): Promise<void> {
  const ask = (at: { url: string }, request = parts): Promise<Reply> =>
    world.ask(operation, request, { key, at, headers: { 'Idempotency-Key': header } });
  const replies = await Promise.all(
    Array.from({ length: AT_ONCE }, (_, n) => ask(n % 2 === 0 ? world.api : beside)),
  );
  const isReplay = ({ headers }: Reply): boolean => headers.get('idempotency-replayed') === 'true';
  const answered = replies.filter(({ status }) => status < 300);
  const [first, ...others] = answered.filter((reply) => !isReplay(reply));
  if (first === undefined) throw new Error(`none was done: ${replies[0]?.text}`);
  expect(others).toEqual([]);
  expectSuccess(operation, first);
  for (const reply of replies) {
    if (answered.includes(reply)) expect(reply.text).toBe(first.text);
    else expect(outcome(reply)).toEqual([409, 'idempotency_in_progress']);
  }
  for (const at of [world.api, beside]) {
    const again = await ask(at);
    expect([again.status, again.text, isReplay(again)]).toEqual([first.status, first.text, true]);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
  }
  const other = { ...parts, body: `${JSON.stringify(parts.body ?? {})} `, contentType: 'application/json' };
  expect(outcome(await ask(world.api, other))).toEqual([422, 'idempotency_mismatch']);
}

test('no key of all this stands where it has no business', () => expectNoTraces(world));
