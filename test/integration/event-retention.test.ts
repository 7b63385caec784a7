/** Events go when the plan of their tenant says so, and not before. */
import { decodeId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { createEventRetentionStore } from '../../src/platform/postgres/event-retention-store';
import { createPublishStore } from '../../src/platform/postgres/publish-store';
import { type Queryable, statement } from '../../src/platform/postgres/statement';
import { removeOldEvents, startEventRetention } from '../../src/workers/event-retention';
import { insertTenant, openTestDatabase } from '../support/database';
import { until } from '../support/wait';

const EVENTS = statement(
  'test.make_events',
  `insert into events (id, tenant_id, type, subject, data, created_at)
   select gen_random_uuid(), $1, 'a', '', '1', now() - make_interval(hours => $2::int) from generate_series(1, $3::int)`,
);
const LEFT = statement<{ n: number }>(
  'test.left',
  'select count(*)::int as n from events where tenant_id = $1',
);
const KEY = statement(
  'test.make_key',
  `insert into event_keys (tenant_id, event_id, fingerprint, id, created_at)
   values ($1, $2, '', gen_random_uuid(), now() - make_interval(hours => $3::int))`,
);
const KEYS = statement<{ event_id: string }>(
  'test.keys',
  'select event_id from event_keys where tenant_id = $1',
);
const TYPE = statement(
  'test.make_type',
  `insert into event_types (tenant_id, name) values ($1, 'a'), ($1, 'b')`,
);
const TYPES = statement<{ tenant_id: string }>(
  'test.types',
  'select tenant_id from event_types where tenant_id = any ($1)',
);
const KEEPER = statement('test.keeper', `insert into plans (name) values ('keeper')`);
const DELETE_TENANT = statement('test.delete', 'update tenants set deleted_at = now() where id = $1');
const MANY_TENANTS = statement(
  'test.many_tenants',
  `insert into tenants (id, name) select gen_random_uuid(), 'one of many' from generate_series(1, 1500)`,
);

const WAITING_KEYS = statement<{ pid: number }>(
  'test.waiting_keys',
  `select pid from pg_stat_activity
   where datname = current_database() and wait_event_type = 'Lock' and query like 'delete from event_keys%'`,
);
const isSome = (rows: readonly unknown[]): boolean => rows.length > 0;

const never = new AbortController().signal;
let opened: Awaited<ReturnType<typeof openTestDatabase>>;
beforeAll(async () => {
  opened = await openTestDatabase();
  await opened.db.run(KEEPER);
});
afterAll(() => opened.close());

const deps = () => ({ store: createEventRetentionStore(opened.db), log: { info: () => undefined } });

async function events(tenantId: string, hoursAgo: number, n = 1): Promise<void> {
  await opened.db.run(EVENTS, [decodeId('tenant', tenantId), hoursAgo, n]);
}

async function left(tenantId: string): Promise<number> {
  const [row] = await opened.db.run(LEFT, [decodeId('tenant', tenantId)]);
  return row?.n ?? 0;
}

test('those past the retention of their plan go, whatever the number of tenants', async () => {
  await opened.db.run(MANY_TENANTS);
  const free = await insertTenant(opened.db, 'free');
  const basic = await insertTenant(opened.db, 'basic');
  const keeper = await insertTenant(opened.db, 'keeper');
  for (const tenant of [free, basic, keeper]) {
    await events(tenant, 24 * 3 - 1);
    await events(tenant, 24 * 3 + 1, 2);
    await events(tenant, 24 * 31, 4);
  }
  expect(await removeOldEvents(deps(), never)).toBe(6 + 4);
  expect([await left(free), await left(basic), await left(keeper)]).toEqual([1, 3, 7]);
  expect(await removeOldEvents(deps(), never)).toBe(0);
});

test('of a deleted tenant all go but those of the last hour', async () => {
  const tenant = await insertTenant(opened.db, 'keeper');
  await events(tenant, 2, 3);
  await events(tenant, 0, 2);
  await opened.db.run(DELETE_TENANT, [decodeId('tenant', tenant)]);
  await removeOldEvents(deps(), never);
  expect(await left(tenant)).toBe(2);
});

test('the types of a deleted tenant go, and of no other one', async () => {
  const [gone, kept] = [await insertTenant(opened.db, 'keeper'), await insertTenant(opened.db, 'keeper')].map(
    (tenant) => decodeId('tenant', tenant),
  );
  await opened.db.run(TYPE, [gone]);
  await opened.db.run(TYPE, [kept]);
  await opened.db.run(DELETE_TENANT, [gone]);
  await removeOldEvents(deps(), never);
  expect(await opened.db.run(TYPES, [[gone, kept]])).toEqual([{ tenant_id: kept }, { tenant_id: kept }]);
});

test('more than one batch goes in one round, and of two workers each takes what the other leaves', async () => {
  const tenant = await insertTenant(opened.db, 'free');
  await events(tenant, 24 * 4, 12_000);
  const counts = await Promise.all([removeOldEvents(deps(), never), removeOldEvents(deps(), never)]);
  expect(counts[0] + counts[1] + (await removeOldEvents(deps(), never))).toBe(12_000);
  expect(await left(tenant)).toBe(0);
});

test("publishers' own ids are forgotten after seven days", async () => {
  const tenant = await insertTenant(opened.db, 'free');
  const uuid = decodeId('tenant', tenant);
  await opened.db.run(KEY, [uuid, 'old', 24 * 7 + 1]);
  await opened.db.run(KEY, [uuid, 'young', 24 * 7 - 1]);
  await removeOldEvents(deps(), never);
  expect(await opened.db.run(KEYS, [uuid])).toEqual([{ event_id: 'young' }]);
});

test('one that is used anew while it is being forgotten is remembered', async () => {
  const tenant = await insertTenant(opened.db, 'free');
  const uuid = decodeId('tenant', tenant);
  await opened.db.run(KEY, [uuid, 'again', 24 * 7 + 1]);
  const publish = (db: Queryable, data: string) =>
    createPublishStore(db).publish({
      tenantId: tenant,
      events: [
        {
          id: newId('event'),
          type: 'a',
          subject: '',
          data,
          channels: [],
          key: { eventId: 'again', fingerprint: Buffer.from(data) },
        },
      ],
      checked: [],
    });
  let pruning: Promise<number> | undefined;
  await opened.db.transaction(async (tx) => {
    await publish(tx, '1');
    pruning = createEventRetentionStore(opened.db).pruneKeys(10);
    await Promise.race([pruning, until('the lock', () => opened.db.run(WAITING_KEYS).then(isSome))]);
  });
  expect(await pruning).toBe(0);
  await expect(publish(opened.db, '2')).rejects.toMatchObject({ code: 'event_id_used' });
});

test('the loop goes on after a failure, and ends when it is told to', async () => {
  const tenant = await insertTenant(opened.db, 'free');
  await events(tenant, 24 * 4);
  const errors: unknown[] = [];
  const { store, log } = deps();
  let calls = 0;
  const loop = startEventRetention({
    store: {
      ...store,
      removeOld: (from) => (calls++ === 0 ? Promise.reject(new Error('away')) : store.removeOld(from)),
    },
    log,
    onError: (error) => void errors.push(error),
    intervalMs: 5,
  });
  await until('the event to go', async () => (await left(tenant)) === 0);
  await loop.stop();
  expect(errors).toHaveLength(1);
});
