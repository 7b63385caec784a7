/** Over every route: no key gives what it has not. */
import { outcome } from '../support/keys';
import { fixtureOf } from '../support/route-fixtures';
import { expectNoTraces, expectSuccess } from '../support/route-fixtures/expect';
import { documented } from '../support/route-fixtures/operations';
import { rowsOfTenant } from '../support/route-fixtures/rows';
import { type Made, startWorld, type World } from '../support/route-fixtures/world';

const { document, operations } = documented();

const SCOPES = ['keys:write', 'keys:read', 'jobs:read'] as const;
const BOUNDS = {
  expires_at: '2100-01-01T00:00:00.000Z',
  allowed_cidrs: ['127.0.0.0/8'],
};

/** By what a key has and can give: more than that, and what it has itself. */
const POWERS: Record<string, { beyond: readonly unknown[]; within: unknown }> = {
  scopes: { beyond: [['admin'], ['keys:read', 'jobs:write']], within: SCOPES },
  expires_at: { beyond: [null, '2100-01-01T00:00:00.001Z'], within: BOUNDS.expires_at },
  allowed_cidrs: {
    beyond: [[], ['0.0.0.0/0'], ['127.0.0.0/8', '192.0.2.1/32']],
    within: ['127.0.0.0/16'],
  },
};

/** Whoever has one of these gives no other key anything: each key has a count of its own. */
const LIMITS = { requests_per_minute: 100_000, requests_per_day: 1_000_000 };

/** Routes for more than admins whose body gives one of these. */
const GIVING = operations.flatMap((operation) =>
  operation.asks !== 'apiKey' || operation.scopes.includes('admin')
    ? []
    : Object.keys(POWERS)
        .filter((power) => operation.inputs.includes(`body.${power}`))
        .map((power) => [operation.id, power, operation] as const),
);

let world: World;
let bound: Made & { secret: string };
beforeAll(async () => {
  world = await startWorld();
  bound = await world.a.keyWith(SCOPES, BOUNDS);
});
afterAll(() => world.close());

const rowsOfA = () => rowsOfTenant(world.database, world.a.tenantId);

test('what a key is made with is its name, its tenant, or a power that is looked at here', () => {
  const fields = Object.keys(document.components.schemas['ApiKeyCreate']?.properties ?? {});
  const known = [...Object.keys(POWERS), ...Object.keys(LIMITS)];
  expect(fields.sort()).toEqual(['name', 'tenant_id', ...known].sort());
  expect([...new Set(GIVING.map(([id]) => id))].sort()).toEqual([
    'createApiKey',
    'createStreamTicket',
    'updateApiKey',
  ]);
});

test.each(GIVING)('%s gives no more %s than the key has', async (id, power, operation) => {
  const request = await fixtureOf(id, 'apiKey').request(world.a);
  const { beyond = [], within } = POWERS[power] ?? {};
  const giving = (value: unknown) =>
    world.ask(
      operation,
      { ...request, body: { ...(request.body as object), [power]: value } },
      { key: bound.secret },
    );
  const before = await rowsOfA();
  for (const value of beyond) {
    const reply = await giving(value);
    expect([value, ...outcome(reply)]).toEqual([value, 403, 'scope_escalation']);
  }
  expect(await rowsOfA()).toEqual(before);
  expectSuccess(operation, await giving(within));
});

/** With a key's new secret one has all that the key has. */
test.each(Object.keys(POWERS))('rotating a key that has more %s is refused', async (power) => {
  const rotate = operations.find(({ id }) => id === 'rotateApiKey');
  if (rotate === undefined) throw new Error('there is no such route');
  const like = (value: unknown) => {
    const { scopes, ...bounds } = { scopes: SCOPES, ...BOUNDS, [power]: value };
    return world.a.keyWith(scopes, bounds);
  };
  const { beyond = [], within } = POWERS[power] ?? {};
  const targets = await Promise.all(beyond.map(like));
  const before = await rowsOfA();
  for (const { id } of targets) {
    const reply = await world.ask(rotate, { path: { id } }, { key: bound.secret });
    expect(outcome(reply)).toEqual([403, 'scope_escalation']);
  }
  expect(await rowsOfA()).toEqual(before);
  const { id } = await like(within);
  expectSuccess(rotate, await world.ask(rotate, { path: { id } }, { key: bound.secret }));
});

describe.each(Object.entries(LIMITS))('a key with %s of its own', (field, value) => {
  const managing = operations.filter(
    ({ id, scopes }) => scopes.includes('keys:write') && id !== 'revokeApiKey',
  );

  test('is refused by every route that makes keys or changes others', async () => {
    const limited = await world.a.keyWith(SCOPES, { [field]: value });
    expect(managing.map(({ id }) => id).sort()).toEqual(['createApiKey', 'rotateApiKey', 'updateApiKey']);
    for (const operation of managing) {
      const request = await fixtureOf(operation.id, 'apiKey').request(world.a);
      const before = await rowsOfA();
      const reply = await world.ask(operation, request, { key: limited.secret });
      expect([operation.id, ...outcome(reply)]).toEqual([operation.id, 403, 'limited_key']);
      expect(await rowsOfA()).toEqual(before);
    }
  });
});

test('no key of all this stands where it has no business', () => expectNoTraces(world));
