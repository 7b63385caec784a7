/** Tickets: what each lets in, once, and what it does not. Two API processes on one database. */
import { Client } from 'pg';
import { formatTicket } from '../../src/domain/key/key-format';
import { tryDecodeId } from '../../src/domain/ids';
import { call, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome, revokeKey } from '../support/keys';
import { openStream, type OpenStream } from '../support/open-stream';

let one: TestApi;
let two: TestApi;
let database: Client;
let tenant: string;
/** with jobs:read, jobs:write and events:read */
let key: string;
let job: string;
const streams: OpenStream[] = [];

beforeAll(async () => {
  one = await startApi();
  two = await startApi({}, one);
  database = new Client({ connectionString: one.databaseUrl });
  await database.connect();
  tenant = await makeTenant(one);
  key = (await makeKey(one, ['jobs:read', 'jobs:write', 'events:read'], { tenant_id: tenant })).secret;
  job = await makeJob();
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});
afterAll(async () => {
  await database.end();
  await two.close();
  await one.close();
});

async function makeJob(): Promise<string> {
  return (await call(one, '/v1/jobs', { key, body: { handler: 'echo' } })).body.id;
}

const ask = (body: object = {}, asker = key) => call(one, '/v1/stream-tickets', { key: asker, body });

async function newTicket(body: object = {}, asker = key): Promise<{ id: string; ticket: string }> {
  const reply = await ask(body, asker);
  if (reply.status !== 201) throw new Error(reply.text);
  return reply.body;
}

async function open(
  path: string,
  wish: { ticket?: string; key?: string; headers?: Record<string, string> },
  api = one,
): Promise<OpenStream> {
  const stream = await openStream(api, path, wish);
  streams.push(stream);
  return stream;
}

const jobStream = (id = job): string => `/v1/jobs/${id}/events`;
const refusal = (ticket: string, path = jobStream(), api = one) => call(api, `${path}?ticket=${ticket}`);

const setTimes = (id: string, set: string): Promise<unknown> =>
  database.query(`update stream_tickets set ${set} where id = $1`, [tryDecodeId('ticket', id)]);

test('a ticket is shown once, with what it is good for, and only its hash is kept', async () => {
  const { status, body, headers } = await ask({ topics: [`job:${job}`], stream_seconds: 600 });
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`/v1/stream-tickets/${body.id}`);
  expect(body).toEqual({
    id: expect.stringMatching(/^tkt_/),
    object: 'stream_ticket',
    ticket: expect.stringMatching(/^mrt_[0-9A-Za-z]{36}$/),
    scopes: ['jobs:read', 'events:read'],
    topics: [`job:${job}`],
    expires_at: expect.any(String),
    stream_ends_at: expect.any(String),
  });
  expect(Date.parse(body.stream_ends_at) - Date.parse(body.expires_at)).toBe(540_000);
  const { rows } = await database.query<{ row: string }>('select t::text as row from stream_tickets t');
  expect(rows.some(({ row }) => row.includes(body.ticket))).toBe(false);
});

test('a ticket opens one stream, on whatever process, and then no other', async () => {
  const { ticket } = await newTicket();
  const stream = await open(jobStream(), { ticket }, two);
  expect([stream.status, stream.headers.get('content-type')]).toEqual([
    200,
    'text/event-stream; charset=utf-8',
  ]);
  for (const api of [one, two]) {
    const again = await refusal(ticket, jobStream(), api);
    expect(outcome(again)).toEqual([401, 'invalid_ticket']);
    expect(again.body.detail).toMatch(/used already/);
  }
});

test('of many that come at once with the same ticket, over two processes, one gets in', async () => {
  const { ticket } = await newTicket();
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, n) => open(jobStream(), { ticket }, n % 2 === 0 ? one : two)),
  );
  expect(all.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(19).fill(401)]);
});

test('it opens the events of its tenant too', async () => {
  const { ticket } = await newTicket({ scopes: ['events:read'] });
  expect((await open('/v1/events/stream?types=job.*', { ticket })).status).toBe(200);
});

describe('refused, each the same way, is a ticket that', () => {
  test('was not used within its minute', async () => {
    const { id, ticket } = await newTicket();
    await setTimes(id, `expires_at = now() - interval '1 second'`);
    const reply = await refusal(ticket);
    expect(outcome(reply)).toEqual([401, 'invalid_ticket']);
    expect(reply.body.detail).toMatch(/expired/);
  });

  test('was ended before it was used', async () => {
    const { id, ticket } = await newTicket();
    expect((await call(one, `/v1/stream-tickets/${id}`, { method: 'DELETE', key })).status).toBe(204);
    const reply = await refusal(ticket);
    expect(outcome(reply)).toEqual([401, 'invalid_ticket']);
    expect(reply.body.detail).toMatch(/ended/);
  });

  test.each([
    ['is made up', formatTicket('x'.repeat(30))],
    ['is mistyped', `mrt_${'x'.repeat(36)}`],
    ['is a key', 'mrk_0123456789'],
    ['is empty', ''],
    ['is long', 'x'.repeat(8_000)],
    ['holds what no ticket can', '%00%F0%9F%98%80'],
  ])('%s', async (_what, text) => {
    const reply = await refusal(text);
    expect([
      [401, 'invalid_ticket'],
      [422, 'not_storable'],
    ]).toContainEqual(outcome(reply));
  });

  test('came of a key that was revoked since: the key is named', async () => {
    const { id, secret } = await makeKey(one, ['jobs:read'], { tenant_id: tenant });
    const { ticket } = await newTicket({}, secret);
    await revokeKey(one, id);
    expect(outcome(await refusal(ticket, jobStream(), two))).toEqual([401, 'key_revoked']);
  });
});

describe('no more is shown than', () => {
  test('the topics of the ticket: any other is not there', async () => {
    const topics = [`job:${job}`];
    const other = await makeJob();
    for (const path of [jobStream(other), '/v1/events/stream']) {
      const { ticket } = await newTicket({ topics });
      expect(outcome(await refusal(ticket, path))).toEqual([404, 'not_found']);
    }
    const { ticket } = await newTicket({ topics });
    expect((await open(jobStream(), { ticket })).status).toBe(200);
  });

  test('the scopes of the ticket, whatever its key has', async () => {
    const { ticket } = await newTicket({ scopes: ['events:read'] });
    expect(outcome(await refusal(ticket))).toEqual([403, 'missing_scope']);
  });

  test('the key may still see: a scope that it lost is lost', async () => {
    const scopes = ['jobs:read', 'events:read'];
    const { id, secret } = await makeKey(one, ['jobs:read', 'events:read'], { tenant_id: tenant });
    const { ticket } = await newTicket({ scopes }, secret);
    const patched = await call(one, `/v1/api-keys/${id}`, {
      ...{ method: 'PATCH', key: one.adminKey, body: { scopes: ['events:read'] } },
    });
    expect(patched.status).toBe(200);
    // A process that has not seen the key yet need not hear of the change.
    expect(outcome(await refusal(ticket, jobStream(), two))).toEqual([403, 'missing_scope']);
  });

  test('its tenant: a job of another is not there', async () => {
    const { ticket } = await newTicket({}, one.adminKey);
    expect(outcome(await refusal(ticket))).toEqual([404, 'not_found']);
  });

  test('streams: a ticket is nothing to any other route', async () => {
    const { ticket } = await newTicket();
    for (const path of ['/v1/jobs', `/v1/jobs/${job}`, '/v1/me']) {
      expect((await call(one, `${path}?ticket=${ticket}`)).status).toBe(401);
    }
    const bearer = await call(one, '/v1/me', { key: ticket });
    expect(outcome(bearer)).toEqual([401, 'unauthenticated']);
    expect((await open(jobStream(), { ticket })).status).toBe(200);
  });
});

test('a ticket may be used from where its key may not', async () => {
  const { secret, id } = await makeKey(one, ['jobs:read'], { tenant_id: tenant });
  const { ticket } = await newTicket({}, secret);
  await call(one, `/v1/api-keys/${id}`, {
    ...{ method: 'PATCH', key: one.adminKey, body: { allowed_cidrs: ['192.0.2.0/24'] } },
  });
  expect((await open(jobStream(), { ticket })).status).toBe(200);
});

test('who sends a key needs no ticket, and does not use up the one that came along', async () => {
  const { ticket } = await newTicket();
  expect((await open(jobStream(), { key, ticket })).status).toBe(200);
  expect((await open(jobStream(), { ticket })).status).toBe(200);
  expect(outcome(await call(one, `${jobStream()}?ticket=${ticket}`, { key: 'mrk_no' }))).toEqual([
    401,
    'unauthenticated',
  ]);
});

describe('asking for one', () => {
  test.each([
    ['a time too short', { stream_seconds: 59 }, '/stream_seconds'],
    ['a time too long', { stream_seconds: 86_401 }, '/stream_seconds'],
    ['what is no topic', { topics: ['tenant', 'jobs'] }, '/topics/1'],
    ['no topic', { topics: [] }, '/topics'],
    ['a topic that its scopes do not show', { scopes: ['events:read'], topics: ['job'] }, '/topics/0'],
    ['no scope', { scopes: [] }, '/scopes'],
    ['what there is not', { scope: 'jobs:read' }, '/scope'],
  ])('for %s is refused', async (_what, body, pointer) => {
    const reply = await ask(body);
    expect(outcome(reply)).toEqual([422, 'validation_failed']);
    expect(reply.body.errors.map((error: { pointer: string }) => error.pointer)).toEqual([pointer]);
  });

  test('for the topic of another tenant is refused', async () => {
    const reply = await ask({ topics: [`tenant:${one.tenantId}`] });
    expect(outcome(reply)).toEqual([422, 'validation_failed']);
    const own = await ask({ topics: [`tenant:${tenant}`] });
    expect(own.status).toBe(201);
  });

  test('for more than the key has is refused', async () => {
    expect(outcome(await ask({ scopes: ['admin'] }))).toEqual([403, 'scope_escalation']);
  });

  test('takes a scope that shows something', async () => {
    const { secret } = await makeKey(one, ['keys:read'], { tenant_id: tenant });
    expect(outcome(await ask({}, secret))).toEqual([403, 'missing_scope']);
  });

  test('again with the same Idempotency-Key gets the same ticket', async () => {
    const again = () =>
      call(one, '/v1/stream-tickets', { key, body: {}, headers: { 'Idempotency-Key': 'one' } });
    const [first, second] = [await again(), await again()];
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
  });
});

describe('ending one', () => {
  const end = (id: string, asker: string) =>
    call(one, `/v1/stream-tickets/${id}`, { method: 'DELETE', key: asker });

  test('is for the key that got it and those with keys:write; for others it is not there', async () => {
    const { id } = await newTicket();
    const other = await makeKey(one, ['jobs:read'], { tenant_id: tenant });
    expect(outcome(await end(id, other.secret))).toEqual([404, 'not_found']);
    expect(outcome(await end(id, one.adminKey))).toEqual([404, 'not_found']);
    const manager = await makeKey(one, ['keys:write'], { tenant_id: tenant });
    expect((await end(id, manager.secret)).status).toBe(204);
    expect((await end(id, key)).status).toBe(204);
    expect(outcome(await end('tkt_01k6z7q0v8e2m9x4t5c3b1a0n7', key))).toEqual([404, 'not_found']);
  });
});

test('no ticket stands in the log, whatever was done with it', async () => {
  const { ticket } = await newTicket();
  await open(jobStream(), { ticket });
  await refusal(ticket);
  await call(one, `/v1/${ticket}?ticket=${ticket}`);
  await call(one, `/v1/jobs?ticket=${ticket}`, { key });
  await call(one, jobStream(), { headers: { Referer: `http://x/?ticket=${ticket}`, Authorization: ticket } });
  for (const api of [one, two]) {
    const lines = api.logged().map((line) => JSON.stringify(line));
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => line.includes(ticket.slice(4, 30)))).toEqual([]);
  }
});

test('failures with tickets count as failures with keys do', async () => {
  const strict = await startApi({ MILLRACE_AUTH_FAILURES_PER_MINUTE: '3' }, one);
  try {
    const made = (n: number): string => formatTicket(String(n).repeat(30));
    const codes: (string | undefined)[] = [];
    for (let n = 0; n < 4; n++) codes.push((await refusal(made(n), jobStream(), strict)).body.code);
    expect(codes).toEqual(['invalid_ticket', 'invalid_ticket', 'invalid_ticket', 'too_many_failures']);
  } finally {
    await strict.close();
  }
});
