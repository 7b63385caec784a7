import { decodeId } from '../../src/domain/ids';
import { eventsOf } from '../../src/compose/parts';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore } from '../../src/platform/postgres/run-store';
import { createStores } from '../../src/platform/postgres/stores';
import { statement } from '../../src/platform/postgres/statement';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { numbers, queuedJob } from '../support/jobs';
import { NO_LIMITS } from '../support/principal';

const CHANGES = statement<{ n: number }>(
  'test.changes',
  'select count(*)::int as n from access_changes where subject = $1',
);

/** DESIGN §9, and the realtime connections and topics of the feature table. */
const FIGURES = {
  free: [60, 5_000, 50_000, 10_000, 2, 20, 5, 10, 20, 3],
  basic: [600, 200_000, 5_000_000, 500_000, 10, 100, 50, 100, 100, 30],
  premium: [12_000, 10_000_000, 500_000_000, 10_000_000, 100, 1_000, 1_000, 5_000, 1_000, 90],
  unlimited: [null, null, null, null, null, null, null, null, null, 90],
};
const COLUMNS = [
  ...['requests_per_minute', 'requests_per_day', 'items_per_month', 'items_per_job', 'running_jobs'],
  ...['concurrency_per_job', 'endpoints', 'realtime_connections', 'realtime_topics', 'retention_days'],
];
const UNLIMITED = Object.fromEntries(COLUMNS.map((column) => [column, null]));

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
const create = (body: object, headers = {}): Promise<Reply> => ask('/v1/plans', { body, headers });
const patch = (name: string, body: object): Promise<Reply> =>
  ask(`/v1/plans/${name}`, { method: 'PATCH', body });

let made = 0;
/** A custom plan, and a tenant on it with a key for its jobs. */
async function tenantOn(limits: object): Promise<{ plan: string; tenantId: string; key: string }> {
  const plan = `custom-${++made}`;
  expect((await create({ name: plan, ...limits })).status).toBe(201);
  const { body } = await ask('/v1/tenants', { body: { name: 'x', plan } });
  expect(body.plan).toBe(plan);
  const key = await api.createKey({ tenantId: body.id, scopes: ['jobs:read', 'jobs:write'] });
  return { plan, tenantId: body.id, key };
}

describe('the plans that are there from the start', () => {
  it.each(Object.entries(FIGURES))('%s has the figures of the design', async (name, figures) => {
    const { status, body } = await ask(`/v1/plans/${name}`);
    expect([status, body.name, body.object]).toEqual([200, name, 'plan']);
    expect(COLUMNS.map((column) => body[column])).toEqual(figures);
  });

  it('are read by every key, and changed by an admin alone', async () => {
    const key = await api.createKey({ scopes: ['jobs:read'] });
    expect((await ask('/v1/plans/free', { key })).status).toBe(200);
    expect((await ask('/v1/plans', { key })).status).toBe(200);
    const refused = [
      await ask('/v1/plans', { key, body: { name: 'mine' } }),
      await ask('/v1/plans/free', { key, method: 'PATCH', body: { running_jobs: 100 } }),
    ];
    expect(refused.map(({ body }) => body.code)).toEqual(['missing_scope', 'missing_scope']);
  });
});

describe('creating a plan', () => {
  it('takes what is left out for no limit, and shows what it made', async () => {
    const reply = await create({ name: 'team_1', requests_per_minute: 1_200, items_per_month: 0 });
    expect(reply.status).toBe(201);
    expect(reply.headers.get('location')).toBe('/v1/plans/team_1');
    expect(reply.body).toMatchObject({ ...UNLIMITED, requests_per_minute: 1_200, items_per_month: 0 });
    expect((await ask('/v1/plans/team_1')).body).toEqual(reply.body);
  });

  it('keeps the largest figures as they are', async () => {
    const limits = { requests_per_day: 999_999_999_999_999, items_per_job: 2_147_483_647 };
    expect((await create({ name: 'huge', ...limits })).body).toMatchObject(limits);
  });

  it('refuses a name that is taken, and leaves that plan as it is', async () => {
    const reply = await create({ name: 'free', running_jobs: 99 });
    expect([reply.status, reply.body.code]).toEqual([409, 'plan_exists']);
    expect((await ask('/v1/plans/free')).body.running_jobs).toBe(2);
  });

  it('twice with one Idempotency-Key is once', async () => {
    const headers = { 'Idempotency-Key': 'a-plan' };
    const first = await create({ name: 'once' }, headers);
    const again = await create({ name: 'once' }, headers);
    expect([first.status, again.status, again.body]).toEqual([201, 201, first.body]);
  });

  it.each([
    ['no name', {}, '/name'],
    ['a name in capitals', { name: 'Team' }, '/name'],
    ['a name that is too long', { name: 'a'.repeat(64) }, '/name'],
    ['a limit of nothing', { name: 'x', requests_per_minute: 0 }, '/requests_per_minute'],
    ['a negative limit', { name: 'x', items_per_month: -1 }, '/items_per_month'],
    ['a fraction', { name: 'x', running_jobs: 1.5 }, '/running_jobs'],
    ['a text', { name: 'x', running_jobs: '2' }, '/running_jobs'],
    ['more than the column holds', { name: 'x', items_per_job: 2_147_483_648 }, '/items_per_job'],
    ['more than a century', { name: 'x', retention_days: 36_501 }, '/retention_days'],
    ['a limit there is none of', { name: 'x', requests_per_hour: 1 }, '/requests_per_hour'],
  ])('%s is a 422 that points at it', async (_title, body, pointer) => {
    const reply = await create(body);
    expect([reply.status, reply.body.code]).toEqual([422, 'validation_failed']);
    expect(reply.body.errors).toEqual([expect.objectContaining({ pointer })]);
  });
});

describe('listing plans', () => {
  it('goes by name, page by page, and comes to an end', async () => {
    for (const name of ['p1', 'p2', 'p3']) await create({ name });
    const names: string[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Reply = await ask(`/v1/plans?limit=2${cursor && `&cursor=${cursor}`}`);
      names.push(...page.body.data.map((plan: { name: string }) => plan.name));
      cursor = page.body.next_cursor;
    }
    expect(names).toEqual([...names].sort());
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining([...Object.keys(FIGURES), 'p1', 'p2', 'p3']));
  });

  it('refuses a cursor that names no plan', async () => {
    const forged = Buffer.from(JSON.stringify(['plans', 'a\u0000b'])).toString('base64url');
    const reply = await ask(`/v1/plans?cursor=${forged}`);
    expect([reply.status, reply.body.code]).toEqual([400, 'malformed_cursor']);
  });

  it("refuses another list's cursor", async () => {
    for (const name of ['one', 'another']) await ask('/v1/tenants', { body: { name } });
    const next = (await ask('/v1/tenants?limit=1')).body.next_cursor;
    expect((await ask(`/v1/plans?cursor=${next}`)).body.code).toBe('malformed_cursor');
  });
});

describe('changing a plan', () => {
  it('changes what is named, takes a limit away by null, and tells every process', async () => {
    await create({ name: 'patched', running_jobs: 1, items_per_job: 5, retention_days: 7 });
    const { status, body } = await patch('patched', { running_jobs: 3, retention_days: null });
    expect([status, body]).toMatchObject([200, { ...UNLIMITED, running_jobs: 3, items_per_job: 5 }]);
    expect(new Date(body.updated_at).getTime()).toBeGreaterThan(new Date(body.created_at).getTime());
    expect(await database.run(CHANGES, ['plan/patched'])).toEqual([{ n: 1 }]);
  });

  it('loses nothing where two change it at once', async () => {
    await create({ name: 'twice' });
    const wishes = COLUMNS.map((column, i) => patch('twice', { [column]: i + 1 }));
    expect((await Promise.all(wishes)).map(({ status }) => status)).toEqual(COLUMNS.map(() => 200));
    const { body } = await ask('/v1/plans/twice');
    expect(COLUMNS.map((column) => body[column])).toEqual(COLUMNS.map((_, i) => i + 1));
  });

  it('changes a built-in plan like any other', async () => {
    expect((await patch('basic', { endpoints: 51 })).body.endpoints).toBe(51);
    await patch('basic', { endpoints: 50 });
  });

  it('of which there is none, or whose name none can have, is a 404', async () => {
    for (const name of ['nobodys', 'No-Plan', '%00', 'a'.repeat(64)]) {
      expect([name, (await ask(`/v1/plans/${name}`)).status]).toEqual([name, name === '%00' ? 422 : 404]);
    }
    const reply = await patch('nobodys', { endpoints: 1 });
    expect([reply.status, reply.body.code]).toEqual([404, 'not_found']);
    expect(await database.run(CHANGES, ['plan/nobodys'])).toEqual([{ n: 0 }]);
  });

  it('does not rename it', async () => {
    expect((await patch('free', { name: 'gratis' })).body.errors).toEqual([
      expect.objectContaining({ pointer: '/name' }),
    ]);
  });

  it('reaches jobs that run: what they may have in flight', async () => {
    const { plan, tenantId } = await tenantOn({ concurrency_per_job: 7 });
    const { jobId } = await queuedJob(database, { tenantId, inputs: numbers(3) });
    const runs = createRunStore(database, eventsOf);
    expect((await runs.watch([jobId]))[0]?.limits.concurrency).toBe(7);
    await patch(plan, { concurrency_per_job: 3 });
    expect((await runs.watch([jobId]))[0]?.limits.concurrency).toBe(3);
  });

  it('reaches jobs that wait: a seat more is a job more that runs', async () => {
    const { plan, tenantId } = await tenantOn({ running_jobs: 1 });
    const runs = createRunStore(database, eventsOf);
    const jobs = [1, 2].map(() => queuedJob(database, { tenantId, inputs: numbers(3) }));
    const begun = [];
    for (const ref of await Promise.all(jobs)) begun.push((await runs.begin(ref))?.status);
    expect(begun.sort()).toEqual(['queued', 'running']);
    await patch(plan, { running_jobs: 2 });
    const next = await runs.nextWaiting(tenantId);
    expect(next && (await runs.begin(next))?.status).toBe('running');
  });
});

describe('items per job', () => {
  const start = (key: string, id: string): Promise<Reply> =>
    ask(`/v1/jobs/${id}/start`, { key, method: 'POST' });
  const upload = (key: string, id: string, lines: number): Promise<Reply> =>
    ask(`/v1/jobs/${id}/items`, {
      key,
      method: 'PUT',
      body: '1\n'.repeat(lines),
      headers: { 'Content-Type': 'application/x-ndjson' },
    });

  it('bounds inline items, at the first one too many', async () => {
    const { key } = await tenantOn({ items_per_job: 2 });
    const fine = await ask('/v1/jobs', { key, body: { handler: 'echo', items: [1, 2] } });
    expect(fine.status).toBe(202);
    const { status, body } = await ask('/v1/jobs', { key, body: { handler: 'echo', items: [1, 2, 3, 4] } });
    expect([status, body.code]).toEqual([422, 'too_many_items']);
    expect(body.errors).toEqual([{ pointer: '/items/2', detail: 'A job has at most 2 items.' }]);
  });

  it('bounds an upload, at the line of the first one too many, and nothing of it stays', async () => {
    const { key } = await tenantOn({ items_per_job: 2 });
    const { id } = (await ask('/v1/jobs', { key, body: { handler: 'echo' } })).body;
    expect((await upload(key, id, 2)).body.counts.total).toBe(2);
    const { status, body } = await upload(key, id, 3);
    expect([status, body.code, body.errors[0].line]).toEqual([422, 'too_many_items', 3]);
    expect((await ask(`/v1/jobs/${id}`, { key })).body.counts.total).toBe(2);
  });

  it('is looked at again when the job starts, by the plan as it is then', async () => {
    const { key, plan } = await tenantOn({ items_per_job: 5 });
    const { id } = (await ask('/v1/jobs', { key, body: { handler: 'echo' } })).body;
    await upload(key, id, 4);
    await patch(plan, { items_per_job: 3 });
    const refused = await start(key, id);
    expect([refused.status, refused.body.code]).toEqual([422, 'too_many_items']);
    expect(refused.body.detail).toBe('The job has 4 items; the plan allows 3.');
    await patch(plan, { items_per_job: 4 });
    expect((await start(key, id)).status).toBe(202);
    await patch(plan, { items_per_job: 1 });
    // It has started: asking again changes nothing.
    expect((await start(key, id)).status).toBe(202);
  });

  it('bounds a retry', async () => {
    const { key, plan, tenantId } = await tenantOn({ items_per_job: 5 });
    const { jobId } = await queuedJob(database, { tenantId, inputs: numbers(4) });
    await database.run(
      statement(
        'test.end',
        `update jobs set status = 'cancelled', cancelled = total, ended_at = now() where id = $1`,
      ),
      [decodeId('job', jobId)],
    );
    await patch(plan, { items_per_job: 3 });
    const retry = () => ask(`/v1/jobs/${jobId}/retry`, { key, method: 'POST' });
    expect((await retry()).body.code).toBe('too_many_items');
    await patch(plan, { items_per_job: null });
    expect((await retry()).status).toBe(202);
  });
});

it('the store keeps each limit in its own place', async () => {
  const names = Object.keys(NO_LIMITS);
  const limits = { ...NO_LIMITS, ...Object.fromEntries(names.map((name, i) => [name, i + 1])) };
  const { plans } = createStores(database);
  await plans.insert({ name: 'places', limits });
  expect((await plans.find('places'))?.limits).toEqual(limits);
  expect(COLUMNS).toHaveLength(names.length);
});
