/** The event log of a tenant, as it is listed. */
import { statement } from '../../src/platform/postgres/statement';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { decodeId } from '../../src/domain/ids';
import { call, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome } from '../support/keys';

const MANY_TYPES = statement(
  'test.many_types',
  `insert into events (id, tenant_id, type, subject, data)
   select gen_random_uuid(), $1, 'many.t' || n, '', n::text from generate_series(1, $2::int) n`,
);
const AGE = statement('test.age', `update events set created_at = $2::timestamptz where id = $1`);

let api: TestApi;
let db: PostgresDatabase;
let tenantId: string;
let key: string;
beforeAll(async () => {
  api = await startApi();
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
  await api.close();
});

interface Shown {
  id: string;
  type: string;
  data: number;
}

async function publish(events: object[]): Promise<Shown[]> {
  const { status, body, text } = await call(api, '/v1/events', { key, body: { events } });
  if (status !== 201) throw new Error(text);
  return body.data;
}

async function list(query: string): Promise<{ data: Shown[]; next_cursor: string | null }> {
  const { status, body, text } = await call(api, `/v1/events?${query}`, { key });
  if (status !== 200) throw new Error(text);
  return body;
}

/** All pages. */
async function all(query: string, limit = 3): Promise<number[]> {
  const found: number[] = [];
  let cursor = '';
  for (;;) {
    const page = await list(`${query}&limit=${limit}${cursor}`);
    found.push(...page.data.map(({ data }) => data));
    if (page.next_cursor === null) return found;
    cursor = `&cursor=${page.next_cursor}`;
  }
}

const TYPES = ['order.paid', 'order.sent', 'order', 'orders.paid', 'order-x.paid', 'order.paid.late'];

describe('by type', () => {
  beforeEach(() => publish(Array.from({ length: 18 }, (_, n) => ({ type: TYPES[n % 6], data: n }))));

  const expected = (fits: (type: string) => boolean): number[] =>
    Array.from({ length: 18 }, (_, n) => n)
      .filter((n) => fits(TYPES[n % 6] as string))
      .reverse();

  test.each<[string, (type: string) => boolean]>([
    ['order.paid', (type) => type === 'order.paid'],
    ['order.paid,orders.paid', (type) => ['order.paid', 'orders.paid'].includes(type)],
    ['order.*', (type) => type.startsWith('order.')],
    ['order.paid.*', (type) => type === 'order.paid.late'],
    ['order.*,order', (type) => type.startsWith('order.') || type === 'order'],
    ['order.*, order.paid', (type) => type.startsWith('order.')],
    ['nothing,none.*', () => false],
  ])('%s: each once, newest first, whatever the page', async (types, fits) => {
    const query = `type=${encodeURIComponent(types)}`;
    for (const limit of [1, 3, 1_000]) expect(await all(query, limit)).toEqual(expected(fits));
  });

  test('* is all there is, what Millrace told among it', async () => {
    const { data } = await list('type=*&limit=1000');
    expect(data.map(({ type }) => type)).toContain('api_key.created');
    expect(data).toHaveLength((await list('limit=1000')).data.length);
  });

  test('with a subject', async () => {
    await publish([
      { type: 'order.paid', subject: 's', data: 100 },
      { type: 'order.sent', subject: 's', data: 101 },
      { type: 'other', subject: 's', data: 102 },
    ]);
    expect(await all('subject=s', 2)).toEqual([102, 101, 100]);
    expect(await all('subject=s&type=order.*', 1)).toEqual([101, 100]);
    expect(await all('subject=s&type=other,order.paid', 1)).toEqual([102, 100]);
  });
});

test('of more types below a word than are looked up one by one, all are found', async () => {
  await db.run(MANY_TYPES, [decodeId('tenant', tenantId), 700]);
  const numbers = await all('type=many.*', 1_000);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 700 }, (_, n) => n + 1));
  expect(await all('type=many.*', 400)).toEqual(numbers);
});

test('by time: not before `since`, before `until`, to the microsecond in the cursor', async () => {
  const made = await publish(Array.from({ length: 6 }, (_, data) => ({ type: 'order.paid', data })));
  const times = [
    '2026-01-01T00:00:00.000001Z',
    '2026-01-01T00:00:00.000002Z',
    '2026-01-01T00:00:00.000002Z',
    '2026-01-01T00:00:01Z',
    '2026-01-02T00:00:00Z',
    '2026-01-03T00:00:00Z',
  ];
  for (const [n, { id }] of made.entries()) await db.run(AGE, [decodeId('event', id), times[n]]);
  expect(await all('type=order.paid', 1)).toEqual([5, 4, 3, 2, 1, 0]);
  expect(await all('type=order.paid&since=2026-01-02T00:00:00Z')).toEqual([5, 4]);
  expect(await all('type=order.paid&until=2026-01-02T00:00:00Z')).toEqual([3, 2, 1, 0]);
  const between = 'since=2026-01-01T00:00:01Z&until=2026-01-02T01:00:00%2B01:00';
  expect(await all(`type=order.paid&${between}`)).toEqual([3]);
});

describe('a cursor', () => {
  test('is of one list with its filters', async () => {
    await publish(Array.from({ length: 3 }, (_, data) => ({ type: 'order.paid', data })));
    const { next_cursor: cursor } = await list('type=order.paid&limit=1');
    const other = await call(api, `/v1/events?type=order.*&limit=1&cursor=${cursor}`, { key });
    expect(outcome(other)).toEqual([400, 'malformed_cursor']);
  });

  test.each([
    ['text', 'x'],
    ['a number too many', '1.2.3'],
    ['a number too large', `${'9'.repeat(30)}.1`],
    ['a quote', "1.1'"],
  ])('that was forged with %s is refused', async (_what, position) => {
    const forged = Buffer.from(JSON.stringify(['events?[null,null,null,null]', position])).toString(
      'base64url',
    );
    const reply = await call(api, `/v1/events?cursor=${forged}`, { key });
    expect(outcome(reply)).toEqual([400, 'malformed_cursor']);
  });

  test('far outside of all time finds nothing, or all', async () => {
    await publish([{ type: 'order.paid', data: 1 }]);
    const at = (position: string): string =>
      Buffer.from(JSON.stringify(['events?[null,null,null,null]', position])).toString('base64url');
    expect((await list(`cursor=${at('0.0')}`)).data).toEqual([]);
    const reply = await call(api, `/v1/events?cursor=${at('999999999999999999.1')}`, { key });
    expect([200, 400]).toContain(reply.status);
  });
});

test.each(['type=order..paid', 'type=', 'type=*x', 'since=yesterday', 'limit=0', 'until=2026'])(
  '%s is refused',
  async (query) => {
    expect(outcome(await call(api, `/v1/events?${query}`, { key }))).toEqual([422, 'validation_failed']);
  },
);

test("shows nothing of another tenant's", async () => {
  const [made] = await publish([{ type: 'order.paid', subject: 's', data: 1 }]);
  const other = (await makeKey(api, ['events:read'], { tenant_id: await makeTenant(api) })).secret;
  const reply = await call(api, `/v1/events/${made?.id}`, { key: other });
  expect(outcome(reply)).toEqual([404, 'not_found']);
  for (const query of ['type=order.paid', 'type=order.*', 'subject=s']) {
    expect((await call(api, `/v1/events?${query}`, { key: other })).body.data).toEqual([]);
  }
});

test('a page of large events ends where it would be too much, and the next one goes on there', async () => {
  const data = 'x'.repeat(250_000);
  for (const part of [0, 1]) {
    const events = Array.from({ length: 20 }, (_, n) => ({ type: 'big', subject: `${part * 20 + n}`, data }));
    await publish(events);
  }
  const seen: string[] = [];
  const pages: number[] = [];
  for (let cursor = '', more = true; more; ) {
    const { text, body } = await call(api, `/v1/events?type=big&limit=1000${cursor}`, { key });
    expect(text.length).toBeLessThan(5 * 1024 * 1024);
    seen.push(...body.data.map(({ subject }: { subject: string }) => subject));
    pages.push(body.data.length);
    cursor = `&cursor=${body.next_cursor}`;
    more = body.next_cursor !== null;
  }
  expect(pages).toEqual([17, 17, 6]);
  expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => String(39 - n)));
});
