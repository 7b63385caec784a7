/** What a tenant publishes: kept exactly, once, all or nothing. */
import { statement } from '../../src/platform/postgres/statement';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { decodeId } from '../../src/domain/ids';
import { type Call, call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome } from '../support/keys';

const COUNTS = statement<{ events: number; outbox: number; keys: number }>(
  'test.counts',
  `select (select count(*)::int from events where tenant_id = $1 and type like 'order.%') as events,
     (select count(*)::int from outbox o join events e on e.id = o.event_id where e.tenant_id = $1 and e.type like 'order.%') as outbox,
     (select count(*)::int from event_keys where tenant_id = $1) as keys`,
);
const DATA = statement<{ data: string }>('test.data', 'select data from events where id = $1');
const AGE_KEY = statement(
  'test.age_key',
  `update event_keys set created_at = now() - interval '8 days' where event_id = $1`,
);

let api: TestApi;
let beside: TestApi;
let db: PostgresDatabase;
let tenantId: string;
let key: string;
beforeAll(async () => {
  api = await startApi();
  beside = await startApi({}, api);
  db = createDatabase({
    url: api.databaseUrl,
    max: 2,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
});
beforeEach(async () => {
  tenantId = await makeTenant(api);
  key = (await makeKey(api, ['events:read', 'events:write'], { tenant_id: tenantId })).secret;
});
afterAll(async () => {
  await db.close();
  await beside.close();
  await api.close();
});

const publish = (body: unknown, how: Call = {}, at: { url: string } = api): Promise<Reply> =>
  call(at, '/v1/events', { key, body, ...how });

async function counts(): Promise<{ events: number; outbox: number; keys: number }> {
  const [row] = await db.run(COUNTS, [decodeId('tenant', tenantId)]);
  return row as { events: number; outbox: number; keys: number };
}

describe('an event', () => {
  test('is answered as it is kept and as it is read, with its address', async () => {
    const body = { type: 'order.paid', subject: 'order_1', channels: ['eu'], event_id: 'a', data: { n: 1 } };
    const made = await publish(body);
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe(`/v1/events/${made.body.id}`);
    expect(made.body).toEqual({
      id: expect.stringMatching(/^evt_/),
      object: 'event',
      tenant_id: tenantId,
      ...body,
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    const read = await call(api, `/v1/events/${made.body.id}`, { key });
    expect(read.text).toBe(made.text);
    expect(await counts()).toEqual({ events: 1, outbox: 1, keys: 1 });
  });

  test('keeps its data as the very text that was sent', async () => {
    const data = `{ "big" : 12345678901234567890.10,\n\t"e":1E400, "é":"\\u00e9😀", "a":[ ],"a":2 }`;
    const made = await publish(`{"data": "first", "type": "order.paid" ,"data" :  ${data} }`);
    expect(made.status).toBe(201);
    expect(made.text).toContain(`"data":${data},`);
    const [row] = await db.run(DATA, [decodeId('event', made.body.id)]);
    expect(row?.data).toBe(data);
  });

  test.each([
    ['null', 'null'],
    ['a number', '17'],
    ['text', '"{\\"data\\":1}"'],
    ['an empty list', '[]'],
  ])('may have %s as its data', async (_what, data) => {
    const made = await publish(`{"type":"order.paid","data":${data}}`);
    expect(made.text).toContain(`"data":${data},"timestamp"`);
  });

  const refused: [string, unknown, number, string, string][] = [
    ['no data', { type: 'order.paid' }, 422, 'validation_failed', '/data'],
    ['no type', { data: 1 }, 422, 'validation_failed', '/type'],
    ['a type with a space', { type: 'order paid', data: 1 }, 422, 'validation_failed', '/type'],
    ['a type that ends with a dot', { type: 'order.', data: 1 }, 422, 'validation_failed', '/type'],
    ['a type that is too long', { type: 'o'.repeat(129), data: 1 }, 422, 'validation_failed', '/type'],
    ['a type of jobs', { type: 'job.completed', data: 1 }, 422, 'event_type_reserved', '/type'],
    ['a type of the system', { type: 'system', data: 1 }, 422, 'event_type_reserved', '/type'],
    ['an empty event_id', { type: 'a', data: 1, event_id: '' }, 422, 'validation_failed', '/event_id'],
    [
      'an event_id that is too long',
      { type: 'a', data: 1, event_id: 'x'.repeat(256) },
      422,
      'validation_failed',
      '/event_id',
    ],
    [
      'a channel with a brace',
      { type: 'a', data: 1, channels: ['}'] },
      422,
      'validation_failed',
      '/channels/0',
    ],
    ['a field that is unknown', { type: 'a', data: 1, id: 'x' }, 422, 'validation_failed', '/id'],
    ['data that is too large', { type: 'a', data: 'x'.repeat(262_143) }, 413, 'event_too_large', '/data'],
    ['what cannot be stored', '{"type":"a","data":"\\u0000"}', 422, 'not_storable', ''],
    ['no event at all', { events: [] }, 422, 'validation_failed', '/events'],
    [
      'more than a thousand',
      { events: Array.from({ length: 1_001 }, () => ({ type: 'a', data: 1 })) },
      422,
      'validation_failed',
      '/events',
    ],
  ];
  test.each(refused)('%s is refused, and nothing is kept', async (_what, body, status, code, pointer) => {
    const reply = await publish(body);
    expect(outcome(reply)).toEqual([status, code]);
    if (pointer !== '') expect(reply.body.errors[0].pointer).toBe(pointer);
    expect(await counts()).toEqual({ events: 0, outbox: 0, keys: 0 });
  });

  test('may have 256 KB of data, also in characters of several bytes', async () => {
    expect((await publish({ type: 'order.a', data: 'x'.repeat(262_142) })).status).toBe(201);
    expect((await publish({ type: 'order.a', data: 'é'.repeat(131_071) })).status).toBe(201);
    expect(outcome(await publish({ type: 'order.a', data: 'é'.repeat(131_072) }))).toEqual([
      413,
      'event_too_large',
    ]);
  });
});

describe('a list of events', () => {
  test('is published in its order, whole', async () => {
    const events = Array.from({ length: 1_000 }, (_, n) => ({ type: `order.t${n % 7}`, data: n }));
    const made = await publish({ events });
    expect(made.status).toBe(201);
    expect(made.body.data.map(({ data }: { data: number }) => data)).toEqual(events.map(({ data }) => data));
    expect(await counts()).toMatchObject({ events: 1_000, outbox: 1_000 });
    const { body } = await call(api, '/v1/events?type=order.*&limit=1000', { key });
    expect(body.data.map(({ data }: { data: number }) => data)).toEqual(
      events.map(({ data }) => data).reverse(),
    );
  });

  test('is refused whole for one of them, which is named', async () => {
    const events = [
      { type: 'order.a', data: 1 },
      { type: 'job.a', data: 2 },
    ];
    const reply = await publish({ events });
    expect(reply.body.errors[0].pointer).toBe('/events/1/type');
    expect(await counts()).toMatchObject({ events: 0 });
  });

  test('is refused whole where one event_id was used with another event', async () => {
    await publish({ type: 'order.a', data: 1, event_id: 'one' });
    const events = [
      { type: 'order.a', data: 7, event_id: 'other' },
      { type: 'order.a', data: 2, event_id: 'one' },
    ];
    expect(outcome(await publish({ events }))).toEqual([409, 'event_id_used']);
    expect(await counts()).toEqual({ events: 1, outbox: 1, keys: 1 });
    const retried = await publish({ events: [events[0]] });
    expect(retried.status).toBe(201);
  });

  test('takes one event twice as one, and two of one event_id not at all', async () => {
    const event = { type: 'order.a', data: 1, event_id: 'one' };
    const twice = await publish({ events: [event, { type: 'order.b', data: 2 }, event] });
    const ids = twice.body.data.map(({ id }: { id: string }) => id);
    expect(ids[0]).toBe(ids[2]);
    expect(await counts()).toMatchObject({ events: 2 });
    const clash = await publish({
      events: [
        { ...event, event_id: 'x' },
        { ...event, data: 2, event_id: 'x' },
      ],
    });
    expect(outcome(clash)).toEqual([409, 'event_id_used']);
    expect(clash.body.errors).toEqual([{ pointer: '/events/1/event_id', detail: expect.any(String) }]);
  });
});

describe('an event_id', () => {
  test('answers the first event for the same content, also where it came in a list', async () => {
    const event = { type: 'order.paid', data: { n: 1 }, event_id: 'mine', channels: ['a'], subject: 's' };
    const first = await publish(event);
    const again = await publish(event);
    expect([again.status, again.text]).toEqual([201, first.text]);
    const listed = await publish({ events: [{ type: 'order.b', data: 2 }, event] });
    expect(listed.body.data[1]).toEqual(first.body);
    expect(await counts()).toMatchObject({ events: 2, outbox: 2 });
  });

  test.each([
    ['data', { data: 2 }],
    ['type', { type: 'order.sent' }],
    ['subject', { subject: 'x' }],
    ['channels', { channels: ['x'] }],
  ])('with other %s is refused', async (_what, change) => {
    const event = { type: 'order.paid', data: 1, event_id: 'mine' };
    await publish(event);
    expect(outcome(await publish({ ...event, ...change }))).toEqual([409, 'event_id_used']);
    expect(await counts()).toMatchObject({ events: 1 });
  });

  test('published by many at once, at two processes, is one event', async () => {
    const event = { type: 'order.paid', data: 1, event_id: 'mine' };
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, n) => publish(event, {}, n % 2 === 0 ? api : beside)),
    );
    expect(new Set(replies.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(await counts()).toEqual({ events: 1, outbox: 1, keys: 1 });
  });

  test('of two contents at once, one stands and the other is refused', async () => {
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, n) =>
        publish({ type: 'order.paid', data: n, event_id: 'mine' }, {}, n % 2 === 0 ? api : beside),
      ),
    );
    const kinds = replies.map(outcome).map(([status]) => status);
    expect(kinds.filter((status) => status === 201)).toHaveLength(1);
    expect(kinds.filter((status) => status === 409)).toHaveLength(39);
    expect(await counts()).toEqual({ events: 1, outbox: 1, keys: 1 });
  });

  test('in lists that overlap in another order, no publisher waits for another for ever', async () => {
    const ids = Array.from({ length: 50 }, (_, n) => `id-${n}`);
    const list = (order: string[]) => ({
      events: order.map((event_id) => ({ type: 'order.a', data: 1, event_id })),
    });
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, n) => publish(list(n % 2 === 0 ? ids : ids.toReversed()))),
    );
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 201));
    expect(await counts()).toEqual({ events: 50, outbox: 50, keys: 50 });
  });

  test("is a tenant's own", async () => {
    const event = { type: 'order.paid', data: 1, event_id: 'mine' };
    const first = await publish(event);
    const other = await makeTenant(api);
    const { secret } = await makeKey(api, ['events:write'], { tenant_id: other });
    const second = await publish({ ...event, data: 2 }, { key: secret });
    expect(second.status).toBe(201);
    expect(second.body.id).not.toBe(first.body.id);
  });

  test('is free again after seven days', async () => {
    const first = await publish({ type: 'order.paid', data: 1, event_id: 'aged' });
    await db.run(AGE_KEY, ['aged']);
    const second = await publish({ type: 'order.paid', data: 2, event_id: 'aged' });
    expect(second.status).toBe(201);
    expect(second.body.id).not.toBe(first.body.id);
    expect((await publish({ type: 'order.paid', data: 2, event_id: 'aged' })).text).toBe(second.text);
  });
});

test('with an Idempotency-Key the first answer is given again, and another body is refused', async () => {
  const headers = { 'Idempotency-Key': 'once' };
  const first = await publish({ type: 'order.paid', data: 1 }, { headers });
  const again = await publish({ type: 'order.paid', data: 1 }, { headers }, beside);
  expect([again.status, again.text]).toEqual([201, first.text]);
  expect(again.headers.get('idempotency-replayed')).toBe('true');
  expect(again.headers.get('location')).toBe(first.headers.get('location'));
  expect(outcome(await publish({ type: 'order.paid', data: 2 }, { headers }))).toEqual([
    422,
    'idempotency_mismatch',
  ]);
  expect(await counts()).toMatchObject({ events: 1 });
});
