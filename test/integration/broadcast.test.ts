/** What an operator tells all tenants reaches each of them once, whatever happens to the worker that sends it. */
import { decodeId } from '../../src/domain/ids';
import { createBroadcastSender } from '../../src/platform/postgres/broadcast-store';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { type BroadcastDeps, sendBroadcasts, startBroadcasts } from '../../src/workers/broadcast';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome } from '../support/keys';
import { until } from '../support/wait';

const MANY_TENANTS = statement(
  'test.many_tenants',
  `insert into tenants (id, name) select gen_random_uuid(), 'one of many' from generate_series(1, $1::int)`,
);
const REACHED = statement<{ events: number; tenants: number; outbox: number }>(
  'test.reached',
  `select count(*)::int as events, count(distinct tenant_id)::int as tenants,
     (select count(*)::int from outbox o join events b on b.id = o.event_id where b.subject = $1) as outbox
   from events where subject = $1`,
);
const LIVING = statement<{ n: number }>(
  'test.living',
  'select count(*)::int as n from tenants where deleted_at is null',
);

let api: TestApi;
let db: PostgresDatabase;
const never = new AbortController().signal;
beforeAll(async () => {
  api = await startApi();
  db = createDatabase({
    url: api.databaseUrl,
    max: 6,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
  await db.run(MANY_TENANTS, [1_200]);
});
afterAll(async () => {
  await db.close();
  await api.close();
});

const deps = (change: Partial<BroadcastDeps> = {}): BroadcastDeps => ({
  sender: createBroadcastSender(db),
  wake: () => undefined,
  log: { info: () => undefined },
  ...change,
});
const create = (body: unknown): Promise<Reply> => call(api, '/v1/broadcasts', { key: api.adminKey, body });
const read = (id: string): Promise<Reply> => call(api, `/v1/broadcasts/${id}`, { key: api.adminKey });

async function reached(id: string): Promise<{ events: number; tenants: number; outbox: number }> {
  const [row] = await db.run(REACHED, [id]);
  return row as { events: number; tenants: number; outbox: number };
}

async function living(): Promise<number> {
  return (await db.run(LIVING))[0]?.n ?? 0;
}

test('every tenant that there is gets it once, with the very text, and later ones do not', async () => {
  const gone = await makeTenant(api);
  await call(api, `/v1/tenants/${gone}`, { method: 'DELETE', key: api.adminKey });
  const made = await create('{"type":"system.maintenance","data":{ "at" : 1.50 }}');
  expect(made.status).toBe(202);
  expect(made.headers.get('location')).toBe(`/v1/broadcasts/${made.body.id}`);
  expect(made.body).toMatchObject({ object: 'broadcast', status: 'sending', tenants: 0, ended_at: null });
  expect((await read(made.body.id)).text).toBe(made.text);
  const before = await living();
  const late = await makeTenant(api);
  let wakes = 0;
  await sendBroadcasts(deps({ wake: () => void wakes++ }), never);
  expect(wakes).toBeGreaterThan(1);
  expect(await reached(made.body.id)).toEqual({ events: before, tenants: before, outbox: before });
  expect((await read(made.body.id)).body).toMatchObject({
    status: 'sent',
    tenants: before,
    ended_at: expect.any(String),
  });
  const { secret } = await makeKey(api, ['events:read']);
  const listed = await call(api, '/v1/events?type=system.*', { key: secret });
  expect(listed.text).toContain('"data":{ "at" : 1.50 }');
  expect(listed.body.data[0].subject).toBe(made.body.id);
  const { secret: lateKey } = await makeKey(api, ['events:read'], { tenant_id: late });
  expect((await call(api, '/v1/events?type=system.*', { key: lateKey })).body.data).toEqual([]);
});

test('a worker that is cut off leaves the rest to the next one, and nobody gets it twice', async () => {
  const { body } = await create({ type: 'system.note', data: 1 });
  const cut = new AbortController();
  await sendBroadcasts(deps({ wake: () => cut.abort() }), cut.signal);
  const part = await reached(body.id);
  expect(part.events).toBeGreaterThan(0);
  expect(part.events).toBeLessThan(await living());
  // One that dies in the middle of a page, before its commit.
  const dying = createBroadcastSender({
    ...db,
    transaction: (work) =>
      db.transaction(async (tx) => {
        await work(tx);
        throw new Error('killed');
      }),
  });
  await expect(dying.sendSome()).rejects.toThrow('killed');
  expect(await reached(body.id)).toEqual(part);
  await sendBroadcasts(deps(), never);
  const all = await living();
  expect(await reached(body.id)).toEqual({ events: all, tenants: all, outbox: all });
});

test('several workers at several broadcasts at once', async () => {
  const made = await Promise.all([1, 2, 3].map((data) => create({ type: 'system.note', data })));
  const loops = [1, 2, 3].map(() =>
    startBroadcasts({ ...deps(), idleMs: 10, onError: (error) => fail(error) }),
  );
  const all = await living();
  for (const { body } of made) {
    await until('the end of a broadcast', async () => (await read(body.id)).body.status === 'sent');
    expect(await reached(body.id)).toEqual({ events: all, tenants: all, outbox: all });
  }
  await Promise.all(loops.map((loop) => loop.stop()));
});

test('one as large as it may be goes out in smaller pages', async () => {
  const { body } = await create({ type: 'system.note', data: 'x'.repeat(200_000) });
  const sender = createBroadcastSender(db);
  const page = await sender.sendSome();
  expect(page).toEqual({ broadcastId: body.id, tenants: 41, ended: false });
  await db.run(statement('test.end', 'update broadcasts set ended_at = now() where id = $1'), [
    decodeId('broadcast', body.id),
  ]);
});

test.each<[unknown, number, string]>([
  [{ type: 'order.paid', data: 1 }, 422, 'validation_failed'],
  [{ type: 'system', data: 1 }, 422, 'validation_failed'],
  [{ type: 'system.', data: 1 }, 422, 'validation_failed'],
  [{ type: 'system.note' }, 422, 'validation_failed'],
  [{ type: 'system.note', data: 'x'.repeat(262_143) }, 413, 'event_too_large'],
])('%.60j is refused', async (body, status, code) => {
  expect(outcome(await create(body))).toEqual([status, code]);
});

test('only an admin may', async () => {
  const { secret } = await makeKey(api, ['events:read', 'events:write']);
  const reply = await call(api, '/v1/broadcasts', { key: secret, body: { type: 'system.note', data: 1 } });
  expect(outcome(reply)).toEqual([403, 'missing_scope']);
});

function fail(error: unknown): never {
  throw error;
}
