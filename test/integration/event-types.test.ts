/** Event types: what Millrace tells, what tenants describe, and that what is strict is held to its schema. */
import { builtInTypes } from '../../src/domain/events/built-in';
import { createSchemaSandbox, type SchemaSandbox } from '../../src/platform/sandbox/schema-sandbox';
import { type Call, call, type Reply, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome } from '../support/keys';
import { until } from '../support/wait';

let api: TestApi;
let beside: TestApi;
let tenantId: string;
let key: string;
beforeAll(async () => {
  api = await startApi();
  beside = await startApi({}, api);
});
beforeEach(async () => {
  tenantId = await makeTenant(api);
  key = (await makeKey(api, ['events:read', 'events:write'], { tenant_id: tenantId })).secret;
});
afterAll(async () => {
  await beside.close();
  await api.close();
});

const put = (name: string, body: unknown, how: Call = {}): Promise<Reply> =>
  call(api, `/v1/event-types/${name}`, { method: 'PUT', key, body, ...how });
const get = (name: string, how: Call = {}): Promise<Reply> =>
  call(api, `/v1/event-types/${name}`, { key, ...how });
const publish = (body: unknown, at: { url: string } = api): Promise<Reply> =>
  call(at, '/v1/events', { key, body });

const ORDER = { type: 'object', required: ['order'], properties: { order: { type: 'integer' } } };

describe('a type', () => {
  test('is made, replaced as a whole, read and forgotten', async () => {
    const made = await put('order.paid', { description: 'paid', schema: ORDER, strict: true });
    expect(made.status).toBe(201);
    expect(made.headers.get('location')).toBe('/v1/event-types/order.paid');
    expect(made.body).toEqual({
      name: 'order.paid',
      object: 'event_type',
      description: 'paid',
      schema: ORDER,
      strict: true,
      built_in: false,
      realtime_only: false,
      created_at: expect.any(String),
      updated_at: made.body.created_at,
    });
    const replaced = await put('order.paid', {});
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({ description: '', schema: null, strict: false });
    expect(replaced.body.created_at).toBe(made.body.created_at);
    expect((await get('order.paid')).text).toBe(replaced.text);
    const gone = await call(api, '/v1/event-types/order.paid', { method: 'DELETE', key });
    expect(gone.status).toBe(204);
    expect(outcome(await get('order.paid'))).toEqual([404, 'not_found']);
    const again = await call(api, '/v1/event-types/order.paid', { method: 'DELETE', key });
    expect(outcome(again)).toEqual([404, 'not_found']);
  });

  test('keeps its schema as the very text that was sent', async () => {
    const schema = '{ "type" : "number", "maximum": 12345678901234567890.10 }';
    const made = await put('order.paid', `{"schema":${schema}}`);
    expect(made.text).toContain(`"schema":${schema},`);
  });

  test.each<[string, unknown, number, string]>([
    ['job.mine', {}, 422, 'event_type_reserved'],
    ['order.paid', { strict: true }, 422, 'validation_failed'],
    ['order.paid', { schema: [] }, 422, 'validation_failed'],
    ['order.paid', { schema: { type: 'strnig' } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { reqired: ['a'] } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { format: 'nonsense' } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { pattern: '(' } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { $ref: 'https://example.com/schema.json' } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { $ref: '#/$defs/none' } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { $async: true } }, 422, 'invalid_schema'],
    ['order.paid', { schema: { $schema: 'http://json-schema.org/draft-04/schema#' } }, 422, 'invalid_schema'],
    [
      'order.paid',
      { schema: { $schema: 'https://json-schema.org/draft/2020-12/meta/core', required: 'ab' } },
      422,
      'invalid_schema',
    ],
    ['order.paid', { schema: { description: 'x'.repeat(70_000) } }, 422, 'invalid_schema'],
    ['order..paid', {}, 404, 'not_found'],
  ])('%s with %j is refused', async (name, body, status, code) => {
    expect(outcome(await put(name, body))).toEqual([status, code]);
  });

  test("is a tenant's own", async () => {
    await put('order.paid', { schema: { type: 'string' }, strict: true });
    const other = (await makeKey(api, ['events:read', 'events:write'], { tenant_id: await makeTenant(api) }))
      .secret;
    expect(outcome(await get('order.paid', { key: other }))).toEqual([404, 'not_found']);
    const body = { type: 'order.paid', data: 1 };
    expect((await call(api, '/v1/events', { key: other, body })).status).toBe(201);
  });
});

test('the list has what Millrace tells and what is described, by name, page by page', async () => {
  await put('aaa', {});
  await put('order.paid', {});
  await put('zzz', {});
  const names: string[] = [];
  let cursor = '';
  do {
    const { body } = await call(api, `/v1/event-types?limit=4${cursor}`, { key });
    names.push(...body.data.map(({ name }: { name: string }) => name));
    cursor = body.next_cursor === null ? '' : `&cursor=${body.next_cursor}`;
  } while (cursor !== '');
  const told = builtInTypes().map(({ name }) => name);
  expect(names).toEqual([...told, 'aaa', 'order.paid', 'zzz'].sort());
  expect((await get('job.completed')).body).toMatchObject({ built_in: true, schema: { type: 'object' } });
});

test('schemas are refused that are too much together, and what is replaced by less is not', async () => {
  const large = { description: 'x'.repeat(65_000) };
  const fits = Math.floor((4 * 1024 * 1024) / JSON.stringify(large).length);
  for (let n = 0; n < fits; n++) expect((await put(`t${n}`, { schema: large })).status).toBe(201);
  expect(outcome(await put('one.more', { schema: large }))).toEqual([422, 'too_many_event_types']);
  expect((await put('t0', { schema: large })).status).toBe(200);
  expect((await put('t0', {})).status).toBe(200);
  expect((await put('one.more', { schema: large })).status).toBe(201);
});

describe('a strict type', () => {
  test('refuses what does not fit, with every place, and nothing of the list is kept', async () => {
    await put('order.paid', { schema: { ...ORDER, additionalProperties: false }, strict: true });
    const reply = await publish({
      events: [
        { type: 'order.paid', data: { order: 1 } },
        { type: 'order.paid', data: { order: 'x', more: 1 } },
        { type: 'free', data: 'anything' },
        { type: 'order.paid', data: {} },
      ],
    });
    expect(outcome(reply)).toEqual([422, 'invalid_event']);
    const pointers = reply.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort();
    expect(pointers).toEqual(['/events/1/data', '/events/1/data/order', '/events/3/data']);
    expect((await call(api, '/v1/events?type=order.paid,free', { key })).body.data).toEqual([]);
    const one = await publish({ type: 'order.paid', data: { order: 'x' } });
    expect(one.body.errors).toEqual([{ pointer: '/data/order', detail: 'must be integer' }]);
  });

  test('lets through what fits, also with an Idempotency-Key', async () => {
    await put('order.paid', { schema: ORDER, strict: true });
    const body = { type: 'order.paid', data: { order: 1 } };
    expect((await publish(body)).status).toBe(201);
    const headers = { 'Idempotency-Key': 'k' };
    const first = await call(beside, '/v1/events', { key, body, headers });
    const again = await call(beside, '/v1/events', { key, body, headers });
    expect([first.status, again.text]).toEqual([201, first.text]);
    const wrong = await call(beside, '/v1/events', {
      key,
      body: { ...body, data: 1 },
      headers: { 'Idempotency-Key': 'l' },
    });
    expect(outcome(wrong)).toEqual([422, 'invalid_event']);
  });

  test('holds on every process from the answer on that made it so, in every version', async () => {
    const seen: number[][] = [];
    for (let n = 0; n < 12; n++) {
      await put('order.paid', { schema: { const: n }, strict: true });
      const replies = await Promise.all(
        [api, beside].flatMap((at) => [
          publish({ type: 'order.paid', data: n }, at),
          publish({ type: 'order.paid', data: n + 1 }, at),
        ]),
      );
      seen.push(replies.map(({ status }) => status));
    }
    expect(seen).toEqual(seen.map(() => [201, 422, 201, 422]));
  });

  test('that is strict no more, or forgotten, lets everything through at once', async () => {
    const event = { type: 'order.paid', data: 'x' };
    await put('order.paid', { schema: ORDER, strict: true });
    expect((await publish(event)).status).toBe(422);
    await put('order.paid', { schema: ORDER });
    expect((await publish(event)).status).toBe(201);
    await put('order.paid', { schema: ORDER, strict: true });
    expect((await publish(event, beside)).status).toBe(422);
    await call(api, '/v1/event-types/order.paid', { method: 'DELETE', key });
    expect((await publish(event, beside)).status).toBe(201);
  });

  test('whose schema takes for ever refuses what it cannot check, and nobody else waits for it', async () => {
    await put('slow', { schema: { type: 'string', pattern: '^(a|a)*$' }, strict: true });
    const slow = publish({ type: 'slow', data: `${'a'.repeat(40)}b` });
    const others = await Promise.all(Array.from({ length: 20 }, () => publish({ type: 'free', data: 1 })));
    expect(others.map(({ status }) => status)).toEqual(others.map(() => 201));
    const reply = await slow;
    expect(outcome(reply)).toEqual([422, 'invalid_event']);
    expect(reply.body.errors[0].detail).toMatch(/takes longer than/);
    expect((await publish({ type: 'slow', data: 'aaa' })).status).toBe(201);
  });
});

describe('schemas in their process', () => {
  let sandbox: SchemaSandbox;
  beforeAll(() => {
    sandbox = createSchemaSandbox({
      threads: 1,
      memoryMb: 64,
      expressionTimeoutMs: 500,
      log: { warn: () => {} },
    });
  });
  afterAll(() => sandbox.close());

  const faultsOf = (schema: unknown, ...values: unknown[]) =>
    sandbox.faultsOf({
      tenantId: 'tnt',
      schema: JSON.stringify(schema),
      values: values.map((value) => JSON.stringify(value)),
    });

  test('formats, references and unevaluated fields of draft 2020-12 are looked at', async () => {
    const schema = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $defs: { at: { type: 'string', format: 'date-time' } },
      allOf: [{ properties: { at: { $ref: '#/$defs/at' } } }],
      unevaluatedProperties: false,
      type: 'object',
    };
    const [good, bad, more] = await faultsOf(schema, { at: '2026-01-01T00:00:00Z' }, { at: 'x' }, { b: 1 });
    expect(good).toEqual([]);
    expect(bad?.[0]?.pointer).toBe('/at');
    expect(more?.[0]?.detail).toContain('"b"');
  });

  test.each<[string, unknown, unknown]>([
    ['a reference to itself', { $ref: '#' }, 1],
    ['a pattern that goes back for ever', { pattern: '^(([a-z])+.)+[A-Z]([a-z])+$' }, 'a'.repeat(60)],
    [
      'each compared with each',
      { uniqueItems: true },
      Array.from({ length: 30_000 }, (_, n) => ({ a: { b: n } })),
    ],
  ])('%s: the value is refused, and the next one is checked', async (_what, schema, value) => {
    const [faults] = await faultsOf(schema, value);
    expect(faults?.length).toBeGreaterThan(0);
    expect(await faultsOf({ type: 'number' }, 1)).toEqual([[]]);
  });

  test('a schema is data: nothing in it runs', async () => {
    const nasty = `"];process.exit(1);//\u2028'\`\${process.exit(1)}`;
    const schema = {
      title: nasty,
      properties: { [nasty]: { const: nasty, enum: [nasty], description: nasty } },
      required: [nasty],
      $defs: { [nasty]: {} },
      dependentRequired: { [nasty]: [nasty] },
    };
    expect(await faultsOf(schema, { [nasty]: nasty })).toEqual([[]]);
    expect((await faultsOf(schema, {}))[0]?.length).toBeGreaterThan(0);
  });

  test('references to what is large, and to what refers again, cost what they say and no more', async () => {
    const properties = Object.fromEntries(
      Array.from({ length: 500 }, (_, n) => [`a${n}`, { type: 'string' }]),
    );
    const large = { $defs: { a: { properties } }, allOf: Array(500).fill({ $ref: '#/$defs/a' }) };
    expect(await faultsOf(large, {})).toEqual([[]]);
    expect((await faultsOf(large, { a7: 1 }))[0]?.[0]).toEqual({ pointer: '/a7', detail: 'must be string' });
    const twice = (n: number) => ({
      properties: { a: { $ref: `#/$defs/d${n}` }, b: { $ref: `#/$defs/d${n}` } },
    });
    const $defs = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`d${n}`, twice(n + 1)]));
    const doubling = { $defs: { ...$defs, d40: { type: 'string' } }, $ref: '#/$defs/d0' };
    expect(await faultsOf(doubling, { a: { b: { a: 1 } } })).toEqual([[]]);
  });

  test('a place whose names are longer than anybody wants to read is told by what surrounds it', async () => {
    const schema = { additionalProperties: { additionalProperties: { type: 'string' } } };
    const [faults] = await faultsOf(schema, { a: { ['b'.repeat(100_000)]: 1 } });
    expect(faults).toEqual([{ pointer: '/a', detail: 'must be string' }]);
  });

  test('who could not be checked for the work of others is told to come again, not that it does not fit', async () => {
    const few = createSchemaSandbox({
      threads: 1,
      memoryMb: 64,
      expressionTimeoutMs: 2_000,
      callMs: 300,
      log: { warn: () => {} },
    });
    const number = { tenantId: 'other', schema: '{"type":"number"}' };
    const checked = (): Promise<boolean> =>
      few.check(number).then(
        () => true,
        () => false,
      );
    try {
      await until('the process', checked);
      const values = [JSON.stringify(`${'a'.repeat(40)}b`)];
      const slow = few
        .faultsOf({ tenantId: 'slow', schema: '{"pattern":"^(a|a)*$"}', values })
        .catch(() => 0);
      const away = { code: 'dependency_unavailable' };
      await Promise.all([
        expect(few.faultsOf({ ...number, values: ['1'] })).rejects.toMatchObject(away),
        expect(few.check(number)).rejects.toMatchObject(away),
        slow,
      ]);
      await until('the process again', checked);
    } finally {
      await few.close();
    }
  });

  test('of faults without end, some are told', async () => {
    const [faults] = await faultsOf(
      { items: { type: 'string' } },
      Array.from({ length: 5_000 }, () => 1),
    );
    expect(faults).toHaveLength(10);
  });
});
