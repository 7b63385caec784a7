/**
 * How many streams there may be, and when they must end: two API processes with one database, and a Redis that may go away.
 * Every stream is open on the one process, and what ends it is done on the other.
 */
import { once } from 'node:events';
import { Client } from 'pg';
import { WebSocket } from 'ws';
import { tryDecodeId } from '../../src/domain/ids';
import { call, startApi, type TestApi } from '../support/api';
import { makeKey, makeTenant, outcome, patchKey, revokeKey, rotateKey } from '../support/keys';
import { openStream, type OpenStream } from '../support/open-stream';
import { type OwnServer, startOwnRedis } from '../support/own-servers';
import { until } from '../support/wait';

/** Promised are 5 s; two cores run all of this. */
const ENDS_WITHIN_MS = 3 * 5_000;
const STREAM = '/v1/events/stream';

let redis: OwnServer & { url: string };
let one: TestApi;
let two: TestApi;
let database: Client;
const streams: OpenStream[] = [];
const sockets: WebSocket[] = [];

beforeAll(async () => {
  redis = await startOwnRedis();
  one = await startApi({ REDIS_URL: redis.url });
  two = await startApi({}, one);
  database = new Client({ connectionString: one.databaseUrl });
  await database.connect();
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
  for (const socket of sockets.splice(0)) socket.terminate();
});
afterAll(async () => {
  await database.end();
  await two.close();
  await one.close();
  await redis.remove();
});

async function open(
  wish: { key?: string; ticket?: string },
  { api = one, path = STREAM } = {},
): Promise<OpenStream> {
  const stream = await openStream(api, path, wish);
  streams.push(stream);
  return stream;
}

async function opened(wish: { key?: string; ticket?: string }, how = {}): Promise<OpenStream> {
  const stream = await open(wish, how);
  if (stream.status !== 200) throw new Error(`the stream was answered by ${stream.status}`);
  // Until then it takes Redis, and would end for want of it.
  await until('the stream to be live', () => stream.text.includes('event: ready'));
  return stream;
}

async function newTicket(key: string, body: object = {}): Promise<{ id: string; ticket: string }> {
  const reply = await call(two, '/v1/stream-tickets', { key, body });
  if (reply.status !== 201) throw new Error(reply.text);
  return reply.body;
}

const ends = (stream: OpenStream): Promise<boolean> =>
  until('the end of the stream', () => stream.hasEnded, ENDS_WITHIN_MS);

/** Streams of the one process that ended for what they were let in by. */
async function endedStreams(): Promise<number> {
  return metric('millrace_streams_ended_total');
}

/** Of event streams, or of both kinds together. */
async function metric(name: string): Promise<number> {
  const { text } = await call(one, '/metrics');
  const line = text.split('\n').find((each) => each.startsWith(name) && !each.includes('websocket'));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** Redis is there again, and streams that are opened stay. */
async function comeBack(): Promise<void> {
  const told = (api: TestApi, what: string): number =>
    api.logged().filter(({ message }) => message === what).length;
  const each = [one, two].flatMap((api) =>
    ['redis is back', 'redis firehose is back'].map((what) => ({ api, what, before: told(api, what) })),
  );
  await redis.start();
  await until('redis to be back', () => each.every(({ api, what, before }) => told(api, what) > before));
}

/** What may end a stream, done on the process that does not have it. */
interface Case {
  what: string;
  end(key: { id: string; tenantId: string }): Promise<unknown>;
}

const CASES: readonly Case[] = [
  { what: 'its key is revoked', end: ({ id }) => revokeKey(two, id) },
  {
    what: 'its key comes to its end',
    end: ({ id }) => {
      const expires_at = new Date(Date.now() + 1_500).toISOString();
      return patchKey(two, id, { key: two.adminKey, body: { expires_at } });
    },
  },
  { what: 'its secret is rotated out', end: ({ id }) => rotateKey(two, id) },
  {
    what: 'its key loses the scope',
    end: ({ id }) => patchKey(two, id, { key: two.adminKey, body: { scopes: ['jobs:read'] } }),
  },
  {
    what: 'its tenant is deleted',
    end: ({ tenantId }) => call(two, `/v1/tenants/${tenantId}`, { method: 'DELETE', key: two.adminKey }),
  },
];

async function newKey(): Promise<{ id: string; secret: string; tenantId: string }> {
  const tenantId = await makeTenant(one);
  return { ...(await makeKey(one, ['events:read'], { tenant_id: tenantId })), tenantId };
}

describe.each([false, true])('redis is away: %s', (away) => {
  /** What there is to end is open before. A stream may end for want of Redis, so what ended it is looked at. */
  const endAlone = async (
    { ending, others }: { ending: OpenStream[]; others: OpenStream[] },
    end: () => Promise<unknown>,
  ) => {
    const before = await endedStreams();
    if (away) await redis.end();
    try {
      const done = (await end()) as { status: number };
      expect([200, 201, 204]).toContain(done.status);
      await Promise.all(ending.map(ends));
      expect(others.map(({ hasEnded }) => hasEnded)).toEqual(others.map(() => false));
      expect(await endedStreams()).toBe(before + ending.length);
    } finally {
      if (away) await comeBack();
    }
  };

  test.each(CASES)('a stream, and one of a ticket, end when $what, and no other does', async ({ end }) => {
    const key = await newKey();
    const { ticket } = await newTicket(key.secret);
    const ending = [await opened({ key: key.secret }), await opened({ ticket })];
    const others = [await opened({ key: (await newKey()).secret })];
    await endAlone({ ending, others }, () => end(key));
  });

  test('a stream ends when its ticket is ended, and not those of other tickets', async () => {
    const { secret } = await newKey();
    const { id, ticket } = await newTicket(secret);
    const ending = [await opened({ ticket })];
    const others = [
      await opened({ ticket: (await newTicket(secret)).ticket }),
      await opened({ key: secret }),
    ];
    const end = () => call(two, `/v1/stream-tickets/${id}`, { method: 'DELETE', key: secret });
    await endAlone({ ending, others }, end);
  });
});

test('a stream ends when its key is shut out from there; one of a ticket goes on', async () => {
  const { id, secret } = await newKey();
  const stream = await opened({ key: secret });
  const other = await opened({ ticket: (await newTicket(secret)).ticket });
  await patchKey(two, id, { key: one.adminKey, body: { allowed_cidrs: ['192.0.2.0/24'] } });
  await ends(stream);
  expect(other.hasEnded).toBe(false);
});

test('a stream ends when the time of its ticket is over', async () => {
  const { id, ticket } = await newTicket((await newKey()).secret);
  await database.query(
    `update stream_tickets set stream_ends_at = now() + interval '1 second' where id = $1`,
    [tryDecodeId('ticket', id)],
  );
  await ends(await opened({ ticket }));
});

test('what ended it is told when it comes back', async () => {
  const { id, secret } = await newKey();
  const stream = await opened({ key: secret });
  await revokeKey(two, id);
  await ends(stream);
  expect(outcome(await call(one, STREAM, { key: secret }))).toEqual([401, 'key_revoked']);
});

describe('a plan that allows two streams', () => {
  const plan = 'two-streams';
  let tenantId: string;
  let key: string;
  beforeAll(async () => {
    await call(one, '/v1/plans', { key: one.adminKey, body: { name: plan, realtime_connections: 2 } });
  });
  beforeEach(async () => {
    tenantId = await makeTenant(one, plan);
    key = (await makeKey(one, ['events:read', 'jobs:read'], { tenant_id: tenantId })).secret;
  });

  const refused = async (api = one) => call(api, STREAM, { key });

  test('has a third refused on either process, with when to come back, until one of the two ends', async () => {
    const first = await opened({ key });
    await opened({ key }, { api: two });
    for (const api of [one, two]) {
      const reply = await refused(api);
      expect(outcome(reply)).toEqual([429, 'too_many_connections']);
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(reply.body.detail).toContain(plan);
    }
    first.close();
    await until('the seat', async () => (await open({ key }, { api: two })).status === 200);
  });

  test('has no more opened when many come at once, by keys and by tickets', async () => {
    const tickets = await Promise.all(Array.from({ length: 5 }, () => newTicket(key)));
    const wishes = [
      ...tickets.map(({ ticket }) => ({ ticket })),
      ...Array.from({ length: 5 }, () => ({ key })),
    ];
    const all = await Promise.all(wishes.map((wish, n) => open(wish, { api: n % 2 === 0 ? one : two })));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, ...Array<number>(8).fill(429)]);
  });

  test('leaves other tenants alone', async () => {
    for (let n = 0; n < 2; n++) await opened({ key });
    expect(outcome(await refused())).toEqual([429, 'too_many_connections']);
    expect((await open({ key: (await newKey()).secret })).status).toBe(200);
  });

  test('a stream that was ended from here gives its seat back', async () => {
    const { id, ticket } = await newTicket(key);
    const stream = await opened({ ticket });
    await opened({ key });
    await call(two, `/v1/stream-tickets/${id}`, { method: 'DELETE', key });
    await ends(stream);
    await until('the seat', async () => (await open({ key })).status === 200);
  });

  test('what is refused for another reason takes no seat', async () => {
    for (let n = 0; n < 5; n++) {
      await call(one, '/v1/jobs/job_01k6z7q0v8e2m9x4t5c3b1a0n7/events', { key });
      await call(one, `${STREAM}?types=!`, { key });
    }
    for (let n = 0; n < 2; n++) await opened({ key });
  });
});

describe('a WebSocket', () => {
  /** Resolves when it is open and said hello. */
  async function openSocket({ key, ticket }: { key?: string; ticket?: string }): Promise<WebSocket> {
    const address = `${one.url.replace('http', 'ws')}/v1/realtime${ticket === undefined ? '' : `?ticket=${ticket}`}`;
    const headers = key === undefined ? {} : { Authorization: `Bearer ${key}` };
    const socket = new WebSocket(address, { headers });
    sockets.push(socket);
    await once(socket, 'message');
    return socket;
  }
  async function follow(socket: WebSocket, topic: string): Promise<void> {
    const answered = new Promise<{ type: string }>((resolve) => {
      socket.on('message', (data) => {
        const message = JSON.parse((data as Buffer).toString()) as { type: string; id?: string };
        if (message.id === topic) resolve(message);
      });
    });
    socket.send(JSON.stringify({ type: 'subscribe', topic, id: topic }));
    expect(await answered).toMatchObject({ type: 'subscribed' });
  }
  const closeCode = async (socket: WebSocket): Promise<unknown> => (await once(socket, 'close'))[0];
  const isOpen = ({ readyState }: WebSocket): boolean => readyState === WebSocket.OPEN;

  test('is closed as no longer let in when its key is revoked', async () => {
    const { id, secret } = await newKey();
    const closed = closeCode(await openSocket({ key: secret }));
    await revokeKey(two, id);
    expect(await closed).toBe(4001);
  });

  test('is closed as no longer let in when its ticket is ended', async () => {
    const { secret } = await newKey();
    const { id, ticket } = await newTicket(secret);
    const closed = closeCode(await openSocket({ ticket }));
    await call(two, `/v1/stream-tickets/${id}`, { method: 'DELETE', key: secret });
    expect(await closed).toBe(4001);
  });

  test('is closed when its key loses what a topic takes, and not where it follows none that takes it', async () => {
    const { id, secret } = await newKey();
    const [following, idle] = [await openSocket({ key: secret }), await openSocket({ key: secret })];
    await follow(following, 'tenant');
    const closed = closeCode(following);
    await patchKey(two, id, { key: two.adminKey, body: { scopes: ['jobs:read'] } });
    expect(await closed).toBe(4001);
    expect(isOpen(idle)).toBe(true);
  });

  test("is closed when its key is no admin's any more, where it follows another tenant", async () => {
    const { tenantId } = await newKey();
    const { id, secret } = await makeKey(one, ['admin']);
    const [following, own] = [await openSocket({ key: secret }), await openSocket({ key: secret })];
    await follow(following, `tenant:${tenantId}`);
    await follow(own, 'tenant');
    const closed = closeCode(following);
    await patchKey(two, id, { key: two.adminKey, body: { scopes: ['events:read'] } });
    expect(await closed).toBe(4001);
    expect(isOpen(own)).toBe(true);
  });

  test('takes a seat as an event stream does', async () => {
    await call(one, '/v1/plans', {
      key: one.adminKey,
      body: { name: 'one-stream', realtime_connections: 1 },
    });
    const tenantId = await makeTenant(one, 'one-stream');
    const { secret } = await makeKey(one, ['events:read'], { tenant_id: tenantId });
    const socket = await openSocket({ key: secret });
    expect(outcome(await call(two, STREAM, { key: secret }))).toEqual([429, 'too_many_connections']);
    socket.close();
    await until('the seat', async () => (await open({ key: secret }, { api: two })).status === 200);
  });
});

test('a process takes no more streams than it is told to, of whatever tenant', async () => {
  const small = await startApi({ MILLRACE_STREAMS_MAX: '2' }, one);
  try {
    const first = await opened({ key: (await newKey()).secret }, { api: small });
    await opened({ key: (await newKey()).secret }, { api: small });
    const { secret } = await newKey();
    const reply = await call(small, STREAM, { key: secret });
    expect(outcome(reply)).toEqual([503, 'at_capacity']);
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    first.close();
    await until('room', async () => (await open({ key: secret }, { api: small })).status === 200);
  } finally {
    for (const stream of streams.splice(0)) stream.close();
    await small.close();
  }
});

test('metrics tell how many streams are open, and what was refused or ended', async () => {
  const endedBefore = await metric('millrace_streams_ended_total');
  const before = await metric('millrace_streams_open');
  const { id, secret } = await newKey();
  const stream = await opened({ key: secret });
  await until('one more', async () => (await metric('millrace_streams_open')) === before + 1);
  await revokeKey(two, id);
  await ends(stream);
  await until('one less', async () => (await metric('millrace_streams_open')) === before);
  expect(await metric('millrace_streams_ended_total')).toBe(endedBefore + 1);
  expect(await metric('millrace_streams_refused_total')).toBeGreaterThan(0);
});
