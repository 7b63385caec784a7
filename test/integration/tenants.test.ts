import fc from 'fast-check';
import { decodeId, encodeId } from '../../src/domain/ids';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { createSubscriptionStore } from '../../src/platform/postgres/subscription-store';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { insertTenant } from '../support/database';
import { until } from '../support/wait';

const PLANS_AT = statement<{ plan: string; name: string; changes_at: Date | null }>(
  'test.plans_at',
  `select p.name as plan, plan_name_of($1, t.at) as name, plan_changes_at($1, t.at) as changes_at
   from unnest($2::timestamptz[]) with ordinality as t (at, n) cross join lateral plan_of($1, t.at) p order by t.n`,
);
const NO_SUBSCRIPTION = statement('test.no_subscription', 'delete from subscriptions where tenant_id = $1');
const CHANGES = statement<{ n: number }>(
  'test.changes',
  'select count(*)::int as n from access_changes where subject = $1',
);
const HISTORY = statement<{ plan: string; ended: boolean }>(
  'test.history',
  `select plan, valid_until is not null as ended from subscriptions where tenant_id = $1 order by valid_from`,
);

const NOBODY = encodeId('tenant', '01900000-0000-7000-8000-000000000000');

let api: TestApi;
let database: PostgresDatabase;

beforeAll(async () => {
  api = await startApi();
  database = createDatabase({
    url: api.databaseUrl,
    max: 4,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
});
afterAll(async () => {
  await database.close();
  await api.close();
});

const ask = (path: string, how: Parameters<typeof call>[2] = {}): Promise<Reply> =>
  call(api, path, { key: api.adminKey, ...how });
const subscribe = (id: string, body: object, key = api.adminKey): Promise<Reply> =>
  ask(`/v1/tenants/${id}/subscription`, { method: 'PUT', body, key });
const read = async (id: string) => (await ask(`/v1/tenants/${id}`)).body;

async function create(plan = 'basic'): Promise<string> {
  const { status, body } = await ask('/v1/tenants', { body: { name: 'Acme', plan } });
  expect(status).toBe(201);
  return body.id;
}

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();

describe('a tenant', () => {
  it('is made with a plan from then on, and shown with it', async () => {
    const { status, body, headers } = await ask('/v1/tenants', { body: { name: 'Acme', plan: 'basic' } });
    expect([status, headers.get('location')]).toEqual([201, `/v1/tenants/${body.id}`]);
    expect(body).toMatchObject({ object: 'tenant', name: 'Acme', plan: 'basic', scheduled: [] });
    expect(body.subscription).toEqual({ plan: 'basic', valid_from: body.created_at, valid_until: null });
    expect(await read(body.id)).toEqual(body);
  });

  it('is free where nothing else is said', async () => {
    expect((await ask('/v1/tenants', { body: { name: 'Acme' } })).body.plan).toBe('free');
  });

  it('is not made with a plan that there is not', async () => {
    const { status, body } = await ask('/v1/tenants', {
      body: { name: 'nowhere to be found', plan: 'gold' },
    });
    expect([status, body.code, body.errors[0].pointer]).toEqual([422, 'unknown_plan', '/plan']);
    const names = (await ask('/v1/tenants?limit=1000')).body.data.map((t: { name: string }) => t.name);
    expect(names).not.toContain('nowhere to be found');
  });

  it('is renamed, and every process is told', async () => {
    const id = await create();
    const { status, body } = await ask(`/v1/tenants/${id}`, { method: 'PATCH', body: { name: 'Acme Ltd' } });
    expect([status, body.name, body.plan]).toEqual([200, 'Acme Ltd', 'basic']);
    expect((await read(id)).name).toBe('Acme Ltd');
    expect(await database.run(CHANGES, [id])).toEqual([{ n: 1 }]);
  });

  it.each([
    ['PATCH', '', { name: 'x', plan: 'free' }, '/plan'],
    ['PATCH', '', {}, '/name'],
    ['PATCH', '', { name: '' }, '/name'],
    ['PUT', '/subscription', {}, '/plan'],
    ['PUT', '/subscription', { plan: 'Gold' }, '/plan'],
    ['PUT', '/subscription', { plan: 'free', valid_from: 'soon' }, '/valid_from'],
    ['PUT', '/subscription', { plan: 'free', valid_from: '2020-01-01T00:00:00Z' }, '/valid_from'],
    ['PUT', '/subscription', { plan: 'free', valid_until: '2020-01-01T00:00:00Z' }, '/valid_until'],
    [
      'PUT',
      '/subscription',
      { plan: 'free', valid_from: '2090-01-01T00:00:00Z', valid_until: '2090-01-01T00:00:00Z' },
      '/valid_until',
    ],
  ])('%s %s with %j is a 422 that points at what is wrong', async (method, path, body, pointer) => {
    const id = await create();
    const before = await read(id);
    const reply = await ask(`/v1/tenants/${id}${path}`, { method, body });
    expect([reply.status, reply.body.code]).toEqual([422, 'validation_failed']);
    expect(reply.body.errors).toEqual([expect.objectContaining({ pointer })]);
    expect(await read(id)).toEqual(before);
  });

  it('is listed, newest first and page by page', async () => {
    const made = [await create(), await create('premium'), await create()].reverse();
    const seen: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Reply = await ask(`/v1/tenants?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(page.body.data.length).toBeLessThanOrEqual(2);
      seen.push(...page.body.data.map((tenant: { id: string }) => tenant.id));
      cursor = page.body.next_cursor;
    }
    expect(seen.slice(0, 3)).toEqual(made);
    expect(seen.at(-1)).toBe(api.tenantId);
    expect(new Set(seen).size).toBe(seen.length);
    const [, second] = (await ask('/v1/tenants?limit=3')).body.data;
    expect(second).toEqual(await read(made[1] ?? ''));
  });

  it("refuses a cursor that is not this list's", async () => {
    const cursor = Buffer.from(JSON.stringify(['tenants', 'nonsense'])).toString('base64url');
    expect((await ask(`/v1/tenants?cursor=${cursor}`)).body.code).toBe('malformed_cursor');
  });

  it('is for admins alone, but for a look at its own', async () => {
    const id = await create();
    const key = await api.createKey({ tenantId: id, scopes: ['keys:write', 'jobs:write'] });
    expect((await ask(`/v1/tenants/${id}`, { key })).body.subscription.plan).toBe('basic');
    const refused = [
      await ask('/v1/tenants', { key }),
      await ask('/v1/tenants', { key, body: { name: 'x' } }),
      await ask(`/v1/tenants/${id}`, { key, method: 'PATCH', body: { name: 'x' } }),
      await ask(`/v1/tenants/${id}`, { key, method: 'DELETE' }),
      await subscribe(id, { plan: 'unlimited' }, key),
    ];
    expect(refused.map(({ body }) => body.code)).toEqual(Array(5).fill('missing_scope'));
  });
});

describe('a subscription', () => {
  it('begins now where nothing else is said, and ends what was in force', async () => {
    const id = await create();
    const { status, body } = await subscribe(id, { plan: 'premium' });
    expect([status, body]).toMatchObject([200, { tenant_id: id, plan: 'premium', scheduled: [] }]);
    expect(body.subscription).toMatchObject({ plan: 'premium', valid_until: null });
    expect(await read(id)).toMatchObject({ plan: 'premium', subscription: body.subscription });
    expect(await database.run(HISTORY, [decodeId('tenant', id)])).toEqual([
      { plan: 'basic', ended: true },
      { plan: 'premium', ended: false },
    ]);
    expect(await database.run(CHANGES, [id])).toEqual([{ n: 1 }]);
  });

  it('that begins later leaves the plan as it is until then', async () => {
    const id = await create('premium');
    const [from, until] = [inDays(30), inDays(60)];
    const { body } = await subscribe(id, { plan: 'basic', valid_from: from, valid_until: until });
    expect(body).toMatchObject({ plan: 'premium', subscription: { plan: 'premium', valid_until: from } });
    expect(body.scheduled).toEqual([{ plan: 'basic', valid_from: from, valid_until: until }]);
  });

  it('takes effect at its time without anybody doing anything, and so does its end', async () => {
    const id = await create('premium');
    const soon = (ms: number): string => new Date(Date.now() + ms).toISOString();
    await subscribe(id, { plan: 'basic', valid_from: soon(800), valid_until: soon(1_600) });
    const seen = new Set<string>();
    await until('the end', async () => seen.add((await read(id)).plan).has('free'));
    expect([...seen]).toEqual(['premium', 'basic', 'free']);
    expect(await read(id)).toMatchObject({ plan: 'free', subscription: null, scheduled: [] });
  });

  it('replaces what was planned from its begin on, and nothing before', async () => {
    const id = await create();
    const [a, b, c] = [inDays(10), inDays(20), inDays(30)];
    await subscribe(id, { plan: 'premium', valid_from: a });
    await subscribe(id, { plan: 'free', valid_from: c });
    const { body } = await subscribe(id, { plan: 'unlimited', valid_from: b });
    expect(body.scheduled).toEqual([
      { plan: 'premium', valid_from: a, valid_until: b },
      { plan: 'unlimited', valid_from: b, valid_until: null },
    ]);
    // The same begin again: in its place.
    expect((await subscribe(id, { plan: 'basic', valid_from: b })).body.scheduled).toEqual([
      { plan: 'premium', valid_from: a, valid_until: b },
      { plan: 'basic', valid_from: b, valid_until: null },
    ]);
    expect((await subscribe(id, { plan: 'free' })).body.scheduled).toEqual([]);
  });

  it('of times with an offset is shown in UTC', async () => {
    const id = await create();
    const { body } = await subscribe(id, { plan: 'free', valid_from: '2090-01-01T00:00:00+01:00' });
    expect(body.scheduled[0].valid_from).toBe('2089-12-31T23:00:00.000Z');
  });

  it('to a plan that there is not changes nothing', async () => {
    const id = await create();
    const before = await read(id);
    const { status, body } = await subscribe(id, { plan: 'gold' });
    expect([status, body.code, body.errors[0].pointer]).toEqual([422, 'unknown_plan', '/plan']);
    expect(await read(id)).toEqual(before);
    expect(await database.run(CHANGES, [id])).toEqual([{ n: 0 }]);
  });

  it('asked for by many at once leaves one in force, and no two overlap', async () => {
    const id = await create();
    const plans = ['free', 'premium', 'unlimited', 'basic'];
    const replies = await Promise.all(plans.map((plan) => subscribe(id, { plan })));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const history = await database.run(HISTORY, [decodeId('tenant', id)]);
    expect(history.filter(({ ended }) => !ended)).toHaveLength(1);
    expect(plans).toContain((await read(id)).plan);
  });
});

describe('the plan in force', () => {
  const BASE = Date.parse('2030-01-01T00:00:00Z');
  const HOURS = 40;
  const at = (hour: number): Date => new Date(BASE + hour * 3_600_000);
  const wish = fc.record({
    plan: fc.constantFrom('free', 'basic', 'premium', 'unlimited'),
    from: fc.nat({ max: HOURS }),
    hours: fc.option(fc.integer({ min: 1, max: HOURS })),
  });

  /** What is asked for last decides from its begin on, and after its end nothing does. */
  function modelled(wishes: readonly { plan: string; from: number; hours: number | null }[]): string[] {
    const plans: string[] = Array(2 * HOURS + 2).fill('free');
    for (const { plan, from, hours } of wishes) {
      plans.fill('free', from);
      plans.fill(plan, from, hours === null ? undefined : from + hours);
    }
    return plans;
  }

  it('is at every time what the wishes come to, one after the other', async () => {
    const tenantId = await insertTenant(database);
    const uuid = decodeId('tenant', tenantId);
    const property = fc.asyncProperty(fc.array(wish, { maxLength: 6 }), async (wishes) => {
      await database.run(NO_SUBSCRIPTION, [uuid]);
      for (const { plan, from, hours } of wishes) {
        const validUntil = hours === null ? undefined : at(from + hours);
        await database.transaction((tx) =>
          createSubscriptionStore(tx).replace(tenantId, { plan, validFrom: at(from), validUntil }),
        );
      }
      const model = modelled(wishes);
      const rows = await database.run(PLANS_AT, [uuid, [...model.keys()].map(at)]);
      expect(rows.map(({ plan }) => plan)).toEqual(model);
      expect(rows.map(({ name }) => name)).toEqual(model);
      for (const [hour, { changes_at }] of rows.entries()) {
        // Until it is said to change, it must not have.
        const changesAt = changes_at ?? at(model.length);
        expect(changesAt > at(hour)).toBe(true);
        const same = model.filter((_, later) => later >= hour && at(later) < changesAt);
        expect([hour, new Set(same).size]).toEqual([hour, 1]);
      }
    });
    await fc.assert(property, { numRuns: 60 });
  });
});

describe('deleting a tenant', () => {
  const remove = (id: string, key = api.adminKey): Promise<Reply> =>
    ask(`/v1/tenants/${id}`, { method: 'DELETE', key });

  it('makes it the same 404 as one that never was, for everybody', async () => {
    const id = await create();
    expect([(await remove(id)).status, (await remove(id)).status]).toEqual([204, 404]);
    const answers = (of: string): Promise<Reply[]> =>
      Promise.all([
        ask(`/v1/tenants/${of}`),
        ask(`/v1/tenants/${of}`, { method: 'PATCH', body: { name: 'x' } }),
        remove(of),
        subscribe(of, { plan: 'free' }),
        ask('/v1/api-keys', { body: { name: 'x', scopes: ['jobs:read'], tenant_id: of } }),
      ]);
    const shown = (replies: Reply[]) =>
      replies.map(({ status, body }) => [status, { ...body, instance: '', request_id: '' }]);
    const gone = shown(await answers(id));
    expect(gone.map(([status]) => status)).toEqual([404, 404, 404, 404, 404]);
    expect(gone).toEqual(shown(await answers(NOBODY)));
    const listed = (await ask('/v1/tenants?limit=1000')).body.data.map((tenant: { id: string }) => tenant.id);
    expect(listed).not.toContain(id);
  });

  it('stops its keys', async () => {
    const id = await create();
    const key = await api.createKey({ tenantId: id, scopes: ['jobs:read', 'admin'] });
    expect((await ask('/v1/me', { key })).status).toBe(200);
    await remove(id);
    await until('the key to be refused', async () => (await ask('/v1/me', { key })).status === 401);
    expect((await ask('/v1/jobs', { key })).status).toBe(401);
  });

  it('to which the key belongs is refused, so that nobody locks himself out', async () => {
    const { status, body } = await remove(api.tenantId);
    expect([status, body.code]).toEqual([409, 'own_tenant']);
    expect((await ask('/v1/me')).status).toBe(200);
  });

  it('that has the last lasting key with admin is refused, so that nobody is locked out later', async () => {
    const tenantId = await create();
    const expiresAt = new Date(Date.now() + 3_600_000);
    const key = await api.createKey({ tenantId, scopes: ['admin'], expiresAt });
    const { status, body } = await remove(api.tenantId, key);
    expect([status, body.code]).toEqual([409, 'last_admin_key']);
    expect((await ask('/v1/me')).status).toBe(200);
  });

  it('by two admins who delete each other leaves one of them', async () => {
    const ids = [await create(), await create()];
    const keys = await Promise.all(ids.map((tenantId) => api.createKey({ tenantId, scopes: ['admin'] })));
    const [a, b] = ids as [string, string];
    const replies = await Promise.all([remove(b, keys[0]), remove(a, keys[1])]);
    expect(replies.map(({ status }) => status).sort()).toEqual([204, 401]);
    const left = await Promise.all(ids.map(async (id) => (await ask(`/v1/tenants/${id}`)).status));
    expect(left.sort()).toEqual([200, 404]);
  });
});
