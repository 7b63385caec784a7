import type { Redis } from 'ioredis';
import { EventSource } from 'eventsource';
import { notificationPublication, RULES_MAX } from '../../src/domain/notification/notification';
import { decodeId, encodeId, isId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createNotificationQueue } from '../../src/platform/postgres/notification-queue';
import { createNotificationStore } from '../../src/platform/postgres/notification-store';
import { createOutboxStore } from '../../src/platform/postgres/outbox-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { whenReady } from '../../src/platform/redis/client';
import { createRealtimeLog, type RealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { removeOldNotifications } from '../../src/workers/notification-retention';
import { type Notifier, startNotifier } from '../../src/workers/notifier';
import { type Relay, startRelay } from '../../src/workers/relay';
import { call, type Reply, startApi, type TestApi } from '../support/api';
import { testServers } from '../support/servers';
import { until } from '../support/wait';
import { connectRedis, openDatabase, silent } from './realtime-support';

let api: TestApi;
let db: PostgresDatabase;
let redis: Redis;
let log: RealtimeLog;
let relay: Relay;
let notifier: Notifier;
const dropped: object[] = [];

beforeAll(async () => {
  api = await startApi();
  db = openDatabase(api.databaseUrl);
  redis = connectRedis(testServers().redisUrl);
  await whenReady(redis, 10_000);
  log = createRealtimeLog({ redis, prefix: prefix(), onRefused: () => undefined });
  notifier = startOwnNotifier();
  relay = startRelay({
    outbox: createOutboxStore(db),
    publish: (publications) => log.publish(publications),
    onPassed: () => notifier.wake(),
    log: silent,
    pollMs: 20,
  });
});
afterAll(async () => {
  await relay.stop();
  await notifier.stop();
  await db.close();
  redis.disconnect();
  await api.close();
});

const prefix = (): string => api.environment['MILLRACE_REDIS_PREFIX'] ?? '';

function startOwnNotifier(): Notifier {
  return startNotifier({
    queue: createNotificationQueue(db),
    publish: (publications) => log.publish(publications),
    ticks: () => performance.now(),
    log: { ...silent, error: (fields) => dropped.push(fields) },
    pollMs: 20,
  });
}

interface Tenant {
  id: string;
  key: string;
  ask(method: string, at: string, body?: unknown): Promise<Reply>;
  rule(wish: object): Promise<string>;
  list(query?: string): Promise<Listed>;
}

interface Listed {
  data: { id: string; rule_id: string; event_id: string; event_type: string; read_at: string | null }[];
  next_cursor: string | null;
  unread_count: number;
}

async function newTenant(): Promise<Tenant> {
  const body = { name: 'notified', plan: 'unlimited' };
  const { id } = (await call(api, '/v1/tenants', { key: api.adminKey, body })).body as { id: string };
  const key = await api.createKey({ tenantId: id, scopes: ['events:read', 'events:write'] });
  const ask: Tenant['ask'] = (method, at, wish) => call(api, at, { method, key, body: wish });
  // What its making tells is no concern of its rules.
  await until('the key', async () => (await toldOf(id)).some(({ type }) => type === 'api_key.created'));
  return {
    id,
    key,
    ask,
    rule: async (wish) => {
      const made = await ask('POST', '/v1/notification-rules', { name: 'a rule', ...wish });
      expect([made.status, made.text]).toEqual([201, made.text]);
      return made.body.id as string;
    },
    list: async (query = '') => (await ask('GET', `/v1/notifications${query}`)).body as Listed,
  };
}

/** Resolves when the relay has passed it on. @returns its id */
async function happens({ id: tenantId }: Tenant, type: string, data: string): Promise<string> {
  const id = newId('event');
  await db.transaction((tx) =>
    createEventStore(tx).append([{ id, tenantId, type, subject: 'order-1', data }]),
  );
  await passed(tenantId, id);
  return id;
}

async function passed(tenantId: string, ...ids: string[]): Promise<void> {
  await until('the relay', async () => {
    const told = await toldOf(tenantId);
    return ids.every((id) => told.some((entry) => entry.id === id));
  });
  await until('the rules', async () => (await db.run(WAITING)).length === 0);
}

const WAITING = statement<{ seq: string }>(
  'test.waiting',
  '(select seq from outbox limit 1) union all (select seq from notification_queue limit 1)',
);

interface Told {
  id: string;
  type: string;
  data: { id?: string };
}

async function toldOf(tenantId: string): Promise<Told[]> {
  const entries = await redis.xrange(realtimeKeys(prefix()).log(`tenant:${tenantId}`), '-', '+');
  return entries.flatMap(([, fields]) => (fields[3] === '' ? [] : [JSON.parse(fields[3] ?? '') as Told]));
}

describe('a rule', () => {
  test('makes one notification of each event that it names, in the list and on the stream alike', async () => {
    const tenant = await newTenant();
    const rule = await tenant.rule({ name: 'paid orders', event_types: ['order.paid'] });
    const source = new EventSource(`${api.url}/v1/events/stream?types=notification.*`, {
      fetch: (url, init) =>
        fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${tenant.key}` } }),
    });
    const seen: Told[] = [];
    let ready = false;
    source.addEventListener('ready', () => (ready = true));
    source.addEventListener('event', ({ data }) => seen.push(JSON.parse(data as string) as Told));
    await until('the stream', () => ready);

    const event = await happens(tenant, 'order.paid', '{"n":1}');
    await happens(tenant, 'order.made', '{"n":2}');
    const { data, unread_count: unread } = await tenant.list();
    expect(data).toEqual([
      {
        id: expect.stringMatching(/^ntf_/),
        object: 'notification',
        tenant_id: tenant.id,
        rule_id: rule,
        rule_name: 'paid orders',
        event_id: event,
        event_type: 'order.paid',
        subject: 'order-1',
        read_at: null,
        created_at: expect.any(String),
      },
    ]);
    expect(unread).toBe(1);
    expect(isId('notification', data[0]?.id ?? '')).toBe(true);
    await until('the push', () => seen.length > 0);
    expect(seen).toEqual([
      { id: data[0]?.id, type: 'notification.created', timestamp: expect.any(String), data: data[0] },
    ]);
    source.close();
  });

  test('names types exactly, by their beginning, or all; and of a notification none is made', async () => {
    const tenant = await newTenant();
    const rules = {
      exact: await tenant.rule({ event_types: ['shop.order', 'x'] }),
      below: await tenant.rule({ event_types: ['shop.order.*'] }),
      far: await tenant.rule({ event_types: ['shop.*'] }),
      all: await tenant.rule({ event_types: ['*'] }),
    };
    await tenant.rule({ event_types: ['*'], enabled: false });
    await tenant.rule({ event_types: ['shop.ord.*', 'shop_order', 'sho.*'] });
    const made = async (type: string): Promise<string[]> => {
      const event = await happens(tenant, type, '{}');
      const { data } = await tenant.list('?limit=100');
      return data
        .filter(({ event_id }) => event_id === event)
        .map(({ rule_id }) => rule_id)
        .sort();
    };
    expect(await made('shop.order')).toEqual([rules.exact, rules.far, rules.all].sort());
    expect(await made('shop.order.line.made')).toEqual([rules.below, rules.far, rules.all].sort());
    expect(await made('shop')).toEqual([rules.all]);
    const { data } = await tenant.list('?limit=100');
    expect(data.filter(({ event_type }) => event_type.startsWith('notification'))).toEqual([]);
    expect(data).toHaveLength(7);
  });

  test('is of its tenant alone', async () => {
    const [one, other] = [await newTenant(), await newTenant()];
    await one.rule({ event_types: ['*'] });
    await happens(other, 'order.paid', '{}');
    expect((await one.list()).data).toEqual([]);
    expect((await other.list()).data).toEqual([]);
  });

  test('makes none of events that its filter does not pass, nor of data that the filter cannot look into', async () => {
    const tenant = await newTenant();
    const filtered = await tenant.rule({
      event_types: ['order.*'],
      filter: { type: { $endsWith: '.paid' }, subject: 'order-1', data: { total: { $gte: 100 } } },
    });
    const negated = await tenant.rule({ event_types: ['order.*'], filter: { $not: { data: { total: 1 } } } });
    const bare = await tenant.rule({ event_types: ['order.*'] });
    const big = await happens(tenant, 'order.paid', '{"total":100}');
    const small = await happens(tenant, 'order.paid', '{"total":1}');
    const unheld = [
      await happens(tenant, 'order.paid', '{"total":100,"name":"\\u0000"}'),
      await happens(tenant, 'order.paid', `{"total":1e${'9'.repeat(6)}}`),
    ];
    const { data } = await tenant.list('?limit=100');
    const rulesOf = (event: string): string[] =>
      data
        .filter(({ event_id }) => event_id === event)
        .map(({ rule_id }) => rule_id)
        .sort();
    expect(rulesOf(big)).toEqual([filtered, negated, bare].sort());
    expect(rulesOf(small)).toEqual([bare]);
    for (const event of unheld) expect(rulesOf(event)).toEqual([bare]);
  });

  test('that is changed, disabled or deleted is so from the next event on, and what it told stays', async () => {
    const tenant = await newTenant();
    const rule = await tenant.rule({ event_types: ['a'], filter: { data: { n: 1 } } });
    const change = (body: object) => tenant.ask('PATCH', `/v1/notification-rules/${rule}`, body);
    await happens(tenant, 'a', '{"n":1}');
    expect((await change({ filter: null, name: 'other' })).body).toMatchObject({
      filter: null,
      name: 'other',
      enabled: true,
    });
    await happens(tenant, 'a', '{"n":2}');
    expect((await change({ enabled: false })).body).toMatchObject({ event_types: ['a'], enabled: false });
    await happens(tenant, 'a', '{"n":1}');
    expect((await change({ enabled: true, event_types: ['b'] })).status).toBe(200);
    await happens(tenant, 'a', '{"n":1}');
    await happens(tenant, 'b', '{}');
    expect((await tenant.ask('DELETE', `/v1/notification-rules/${rule}`)).status).toBe(204);
    await happens(tenant, 'b', '{}');
    const { data } = await tenant.list();
    expect(data.map(({ event_type }) => event_type)).toEqual(['b', 'a', 'a']);
    expect((await tenant.ask('DELETE', `/v1/notification-rules/${rule}`)).status).toBe(404);
  });

  test('keeps its filter as it was written, to the last digit', async () => {
    const { ask } = await newTenant();
    const filter = '{"data":{"id":9007199254740993,"ratio":{"$gt":1.10}}}';
    const made = await ask(
      'POST',
      '/v1/notification-rules',
      `{"name":"r","event_types":["*"],"filter": ${filter} }`,
    );
    expect(made.text).toContain(`"filter":${filter}`);
    expect(made.headers.get('location')).toBe(`/v1/notification-rules/${made.body.id}`);
    expect((await ask('GET', `/v1/notification-rules/${made.body.id}`)).text).toBe(made.text);
    expect((await ask('GET', '/v1/notification-rules')).text).toBe(
      `{"data":[${made.text}],"next_cursor":null}`,
    );
  });

  test('with a filter that cannot be used is refused with the places', async () => {
    const { ask } = await newTenant();
    const filter = { data: { a: { $regex: '.*' }, b: { $in: 1 } } };
    const refused = await ask('POST', '/v1/notification-rules', { name: 'r', event_types: ['*'], filter });
    expect(refused.status).toBe(422);
    expect(refused.body).toMatchObject({
      code: 'invalid_filter',
      errors: [{ pointer: '/filter/data/a/$regex' }, { pointer: '/filter/data/b/$in' }],
    });
    for (const event_types of [[], ['a.*.b'], ['*.a'], [''], ['a b']]) {
      const { status, body } = await ask('POST', '/v1/notification-rules', { name: 'r', event_types });
      expect([status, body.code]).toEqual([422, 'validation_failed']);
    }
  });

  test('beyond as many as there may be is refused, also where all come at once', async () => {
    const { ask } = await newTenant();
    const wish = { name: 'one of many', event_types: ['never'] };
    const asked = Array.from({ length: RULES_MAX + 3 }, () => ask('POST', '/v1/notification-rules', wish));
    const replies = await Promise.all(asked);
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(RULES_MAX);
    expect(replies.filter(({ body }) => body.code === 'too_many_rules')).toHaveLength(3);
  });
});

describe('the notifier', () => {
  const append = (tenant: Tenant, events: { id: string; subject?: string; data?: string }[]): Promise<void> =>
    db.transaction((tx) =>
      createEventStore(tx).append(
        events.map((event) => ({ tenantId: tenant.id, type: 'one', subject: '', data: '{}', ...event })),
      ),
    );

  test('that is cut off makes each notification once all the same, with one id, and tells of it once', async () => {
    const tenant = await newTenant();
    await tenant.rule({ event_types: ['*'] });
    await notifier.stop();
    const id = newId('event');
    await append(tenant, [{ id }]);
    const queue = createNotificationQueue(db);
    await until('the relay', async () => (await queue.next()) !== undefined);
    const told: string[] = [];
    const cutOff = queue.take(tenant.id, 9, async (made) => {
      told.push(...made.map((one) => one.id));
      await log.publish(made.map(notificationPublication));
      throw new Error('cut off before the commit');
    });
    await expect(cutOff).rejects.toThrow('cut off');
    expect((await tenant.list()).data).toEqual([]);
    notifier = startOwnNotifier();
    await passed(tenant.id, id);
    const { data } = await tenant.list();
    expect(data.map((one) => one.id)).toEqual(told);
    const types = (await toldOf(tenant.id)).map(({ type }) => type);
    expect(types.filter((type) => type.startsWith('notification'))).toHaveLength(1);
  });

  test('drops an event that no notification can be made of, says so, and notifies of those beside it', async () => {
    const tenant = await newTenant();
    await tenant.rule({ event_types: ['*'] });
    await db.run(BREAK);
    await db.run(BREAK_ON);
    const ids = Array.from({ length: 5 }, () => newId('event'));
    await append(
      tenant,
      ids.map((id, n) => ({ id, subject: n === 3 ? 'poison' : '' })),
    );
    await passed(tenant.id, ...ids);
    const { data } = await tenant.list();
    const good = ids.filter((_, n) => n !== 3);
    expect(data.map(({ event_id }) => event_id).sort()).toEqual([...good].sort());
    expect(dropped).toEqual([{ err: expect.any(Error), event_id: ids[3], tenant_id: tenant.id }]);
    await db.run(MEND);
  });

  test('makes notifications late, and loses none, where the database stands still for longer than a turn', async () => {
    const tenant = await newTenant();
    await tenant.rule({ event_types: ['one'] });
    await notifier.stop();
    const id = newId('event');
    await append(tenant, [{ id }]);
    const queue = createNotificationQueue(db);
    await until('the relay', async () => (await queue.next()) !== undefined);
    const nobody = async (): Promise<void> => undefined;
    await db.transaction(async (tx) => {
      await tx.run(STAND_STILL);
      expect(await queue.take(tenant.id, 9, nobody)).toEqual({ state: 'too_much' });
      expect(await queue.take(tenant.id, 9, nobody)).toEqual({ state: 'too_much' });
    });
    notifier = startOwnNotifier();
    await passed(tenant.id, id);
    expect((await tenant.list()).data.map(({ event_id }) => event_id)).toEqual([id]);
  });

  test('is not held up by a tenant whose filters take longer than they may', async () => {
    const [slow, other] = [await newTenant(), await newTenant()];
    await db.run(SLOW);
    await db.run(SLOW_ON);
    await slow.rule({ event_types: ['one'] });
    await other.rule({ event_types: ['one'] });
    const [held, free] = [newId('event'), newId('event')];
    await append(slow, [{ id: held, subject: 'slow' }]);
    await append(other, [{ id: free }]);
    await until('the other tenant', async () => (await other.list()).data.length === 1);
    await passed(slow.id, held);
    expect((await slow.list()).data).toEqual([]);
    expect(dropped).toContainEqual(expect.objectContaining({ event_id: held }));
    expect(dropped).not.toContainEqual(expect.objectContaining({ event_id: free }));
  });
});

const STAND_STILL = statement('test.stand_still', 'lock table notifications in exclusive mode');
const BREAK = statement(
  'test.break',
  `create function test_poison() returns trigger language plpgsql as $$
   begin
     if new.subject = 'poison' then raise exception 'poison' using errcode = '22023'; end if;
     return new;
   end $$`,
);
const BREAK_ON = statement(
  'test.break_on',
  'create trigger poison before insert on notifications for each row execute function test_poison()',
);
const SLOW = statement(
  'test.slow',
  `create function test_slow() returns trigger language plpgsql as $$
   begin
     if new.subject = 'slow' then perform pg_sleep(30); end if;
     return new;
   end $$`,
);
const SLOW_ON = statement(
  'test.slow_on',
  'create trigger slow before insert on notifications for each row execute function test_slow()',
);
const MEND = statement('test.mend', 'drop trigger poison on notifications');

describe('the list', () => {
  async function filled(count: number): Promise<Tenant> {
    const tenant = await newTenant();
    await tenant.rule({ event_types: ['*'] });
    const ids: string[] = [];
    for (let n = 0; n < count; n++) ids.push(await happens(tenant, `n${n}`, '{}'));
    return tenant;
  }
  const typesIn = ({ data }: Listed): string[] => data.map(({ event_type }) => event_type);

  test('is walked page by page, newest first', async () => {
    const tenant = await filled(5);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: Listed = await tenant.list(`?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...typesIn(page));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(['n4', 'n3', 'n2', 'n1', 'n0']);
    const { next_cursor: next } = await tenant.list('?limit=2');
    expect((await tenant.ask('GET', `/v1/notifications?unread=true&cursor=${next}`)).body.code).toBe(
      'malformed_cursor',
    );
  });

  test('knows what was read, once and for all', async () => {
    const tenant = await filled(4);
    const [newest, second] = (await tenant.list()).data;
    const read = await tenant.ask('POST', `/v1/notifications/${second?.id}/read`);
    expect(read.body).toMatchObject({ id: second?.id, read_at: expect.any(String) });
    expect((await tenant.ask('POST', `/v1/notifications/${second?.id}/read`)).text).toBe(read.text);
    expect((await tenant.ask('GET', `/v1/notifications/${second?.id}`)).text).toBe(read.text);
    expect(typesIn(await tenant.list('?unread=true'))).toEqual(['n3', 'n1', 'n0']);
    expect(typesIn(await tenant.list('?unread=false'))).toEqual(['n2']);
    expect((await tenant.list('?unread=false')).unread_count).toBe(3);

    const upTo = await tenant.ask('POST', '/v1/notifications/read-all', { up_to_id: second?.id });
    expect(upTo.body).toEqual({ object: 'notifications_read', read: 2, unread_count: 1 });
    expect(typesIn(await tenant.list('?unread=true'))).toEqual(['n3']);
    expect((await tenant.ask('GET', `/v1/notifications/${second?.id}`)).text).toBe(read.text);
    expect((await tenant.ask('POST', '/v1/notifications/read-all', {})).body).toMatchObject({
      read: 1,
      unread_count: 0,
    });
    expect((await tenant.ask('GET', `/v1/notifications/${newest?.id}`)).body.read_at).not.toBeNull();
  });

  test("loses what is past the plan's retention, and all of a deleted tenant with its rules", async () => {
    const [kept, gone] = [await filled(2), await filled(2)];
    const old = encodeId('notification', await insertAged(kept, 95));
    const young = encodeId('notification', await insertAged(kept, 85));
    const uuid = decodeId('tenant', gone.id);
    await db.run(DELETED, [uuid]);
    await happens(gone, 'tenant.deleted', '{}');
    expect(await db.run(RULES, [uuid])).toHaveLength(1);
    await until('a later millisecond', async () => (await db.run(LATER, [uuid])).length === 0);
    const notifications = createNotificationStore(db);
    const removed = await removeOldNotifications(
      { notifications, log: silent },
      new AbortController().signal,
    );
    expect(removed).toBe(4);
    expect(await db.run(RULES, [uuid])).toEqual([]);
    expect(await db.run(RULES, [decodeId('tenant', kept.id)])).toHaveLength(1);
    const left = (await kept.list()).data.map(({ id }) => id);
    expect(left).toHaveLength(3);
    expect(left).toContain(young);
    expect(left).not.toContain(old);
    expect(await notifications.list({ tenantId: gone.id, limit: 9 })).toEqual([]);
  });

  async function insertAged(tenant: Tenant, days: number): Promise<string> {
    const [row] = await db.run(AGED, [decodeId('tenant', tenant.id), days]);
    return row?.id ?? '';
  }
});

const AGED = statement<{ id: string }>(
  'test.aged',
  `insert into notifications (id, tenant_id, rule_id, rule_name, event_id, event_type, subject, created_at)
   select uuid_at(at), $1, gen_random_uuid(), '', gen_random_uuid(), 'old', '', at
   from (select now() - make_interval(days => $2) as at) t returning id`,
);
const DELETED = statement('test.deleted', 'update tenants set deleted_at = now() where id = $1');
const RULES = statement<{ id: string }>(
  'test.rules',
  'select id from notification_rules where tenant_id = $1',
);
const LATER = statement<{ id: string }>(
  'test.later',
  'select id from notifications where tenant_id = $1 and id >= uuid_at(now())',
);
