import { once } from 'node:events';
import { connect } from 'node:net';
import { EventSource } from 'eventsource';
import type { Redis } from 'ioredis';
import { SCOPES, type Scope } from '../../src/domain/key/scopes';
import { publicationOf } from '../../src/domain/realtime/publication';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createJobStore } from '../../src/platform/postgres/job-store';
import { createOutboxStore } from '../../src/platform/postgres/outbox-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { whenReady } from '../../src/platform/redis/client';
import { createRealtimeLog, type RealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { knownKey } from '../support/principal';
import { until } from '../support/wait';
import {
  type ApiProcess,
  type ApiProcessOptions,
  connectRedis,
  insertJob,
  insertTenant,
  moveJob,
  openDatabase,
  type OwnRedis,
  progress,
  type Proxy,
  startApiProcess,
  startOwnRedis,
  startProxy,
  TEST_KEY,
  type TestJob,
} from './realtime-support';

let testDatabase: TestDatabase;
let ownRedis: OwnRedis;
let db: PostgresDatabase;
let redis: Redis;
let prefix: string;
let tenantId: string;
let log: RealtimeLog;
let job: TestJob;
let topic: string;
const cleanUps: (() => unknown)[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  ownRedis = await startOwnRedis();
  db = openDatabase(testDatabase.url);
  redis = connectRedis(ownRedis.url);
  await whenReady(redis, 10_000);
});

beforeEach(async () => {
  prefix = `${newId('request')}:`;
  log = createRealtimeLog({ redis, prefix, onRefused: () => undefined });
  tenantId = await insertTenant(db);
  job = await insertJob(db, tenantId);
  topic = `job:${job.jobId}`;
  await relay();
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

afterAll(async () => {
  await db.close();
  redis.disconnect();
  await ownRedis.remove();
  await testDatabase.drop();
});

/** What the worker's relay does, once. */
async function relay(): Promise<void> {
  await createOutboxStore(db).passOn(100, (events) => log.publish(events.map(publicationOf)));
}

async function move(status: string, type?: string): Promise<void> {
  await moveJob(db, job, status, type);
  await relay();
}

async function publish(from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await log.publish([progress(job.jobId, { n })]);
}

async function api(
  options: { scopes?: readonly Scope[]; hub?: ApiProcessOptions['hub'] } = {},
): Promise<ApiProcess> {
  const key = knownKey({ tenantId, scopes: options.scopes ?? SCOPES.filter((scope) => scope !== 'admin') });
  const started = await startApiProcess({ redisUrl: ownRedis.url, prefix, db, key, hub: options.hub ?? {} });
  cleanUps.push(() => started.stop());
  return started;
}

async function proxyTo(...processes: ApiProcess[]): Promise<Proxy> {
  const proxy = await startProxy(processes.map(({ port }) => port));
  cleanUps.push(() => proxy.close());
  return proxy;
}

const address = (port: number, query = ''): string =>
  `http://127.0.0.1:${port}/v1/jobs/${job.jobId}/events${query}`;
const authorization = { Authorization: `Bearer ${TEST_KEY}` };

interface Message {
  event: string;
  id: string | undefined;
  data: Record<string, unknown>;
}

/** The raw stream of one connection, as far as it has come. */
interface RawStream {
  status: number;
  headers: Headers;
  text: string;
  messages: Message[];
  ended: Promise<void>;
  close(): void;
}

async function open(
  port: number,
  options: { query?: string; cursor?: string | number; method?: string } = {},
) {
  const controller = new AbortController();
  const response = await fetch(address(port, options.query), {
    method: options.method ?? 'GET',
    headers:
      options.cursor === undefined
        ? authorization
        : { ...authorization, 'Last-Event-ID': String(options.cursor) },
    signal: controller.signal,
  });
  const raw: RawStream = {
    status: response.status,
    headers: response.headers,
    text: '',
    get messages() {
      return parse(this.text);
    },
    ended: Promise.resolve(),
    close: () => controller.abort(),
  };
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? [])
      raw.text += decoder.decode(chunk as Uint8Array, { stream: true });
  };
  raw.ended = read();
  raw.ended.catch(() => undefined);
  cleanUps.push(() => controller.abort());
  return raw;
}

/** By the line rules of HTML 9.2.6, for what this server sends. */
function parse(text: string): Message[] {
  const blocks = text.split('\n\n').slice(0, -1);
  return blocks.flatMap((block) => {
    const lines = block.split('\n').filter((line) => !line.startsWith(':'));
    const field = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const data = field('data');
    if (data === undefined) return [];
    return [
      {
        event: field('event') ?? 'message',
        id: field('id'),
        data: JSON.parse(data) as Record<string, unknown>,
      },
    ];
  });
}

const EVENTS = ['snapshot', 'progress', 'status', 'done', 'reset'];

/** A real EventSource that notes all it gets. */
function eventSource(port: number): { source: EventSource; got: Message[] } {
  const got: Message[] = [];
  const source = new EventSource(address(port), {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...authorization } }),
  });
  for (const name of EVENTS) {
    source.addEventListener(name, (message) => {
      got.push({
        event: name,
        id: message.lastEventId,
        data: JSON.parse(message.data as string) as Record<string, unknown>,
      });
    });
  }
  cleanUps.push(() => source.close());
  return { source, got };
}

const events = (messages: readonly Message[]): string[] => messages.map(({ event }) => event);
const ids = (messages: readonly Message[]): number[] => messages.map(({ id }) => Number(id));

async function loggedAfter(cursor: number): Promise<number[]> {
  const entries = await redis.xrange(realtimeKeys(prefix).log(topic), `${cursor + 1}-0`, '+');
  return entries.map(([id]) => Number.parseInt(id, 10));
}

describe('a stream', () => {
  test('starts with the job as it is, then says what happens, and ends when the job has ended', async () => {
    const { port } = await api();
    const stream = await open(port);
    await until('the snapshot', () => stream.messages.length === 1);
    await move('running', 'job.started');
    await publish(0, 2);
    await move('completed');
    await stream.ended;
    expect(events(stream.messages)).toEqual(['snapshot', 'status', 'progress', 'progress', 'done']);
    const [snapshot, status, first, , done] = stream.messages;
    expect(snapshot?.data).toMatchObject({ id: job.jobId, status: 'created' });
    expect(status?.data).toMatchObject({ type: 'job.started', job_id: job.jobId, status: 'running' });
    expect(status?.data.event_id).toMatch(/^evt_/);
    expect(first?.data).toMatchObject({ type: 'job.progress', n: 0 });
    expect(done?.data).toMatchObject({ id: job.jobId, status: 'completed' });
    expect(ids(stream.messages).slice(1)).toEqual(await loggedAfter(Number(snapshot?.id)));
  });

  test('has the headers that proxies must see, says when to come back, and is kept alive by comments', async () => {
    const { port } = await api({ hub: { pingMs: 20, retryMs: 2_000 } });
    const stream = await open(port);
    expect(stream.status).toBe(200);
    expect(Object.fromEntries(stream.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    expect(stream.headers.get('content-encoding')).toBeNull();
    await until('comments', () => stream.text.split('\n').filter((line) => line === ':').length >= 3);
    expect(stream.text).toContain('retry: 2000\n');
  });

  test('of a job that has ended is the snapshot and `done`, at once', async () => {
    await move('cancelled');
    const { port } = await api();
    const stream = await open(port);
    await stream.ended;
    expect(events(stream.messages)).toEqual(['snapshot', 'done']);
    expect(stream.messages[1]?.data).toMatchObject({ status: 'cancelled' });
    expect((await open(port, { cursor: stream.messages[1]?.id ?? '' })).status).toBe(204);
  });

  test('of a job whose end the log does not know (yet, or any more) ends as well, and stays ended', async () => {
    await moveJob(db, job, 'failed');
    const { port } = await api();
    const stream = await open(port);
    await stream.ended;
    expect(events(stream.messages)).toEqual(['snapshot', 'done']);
    await relay();
    expect((await open(port, { cursor: stream.messages[1]?.id ?? '' })).status).toBe(204);
  });

  test('of a job that is deleted says so and ends, and then there is nothing to follow', async () => {
    const { port } = await api();
    const stream = await open(port);
    await until('the snapshot', () => stream.messages.length === 1);
    await db.transaction((tx) => createJobStore(tx, createEventStore(tx)).remove(job));
    await relay();
    await stream.ended;
    expect(events(stream.messages)).toEqual(['snapshot', 'status']);
    expect(stream.messages[1]?.data).toMatchObject({ type: 'job.deleted', job_id: job.jobId });
    expect((await open(port, { cursor: stream.messages[0]?.id ?? '' })).status).toBe(404);
    expect(await loggedAfter(Number(stream.messages[1]?.id))).toEqual([]);
  });

  test('leaves nothing behind when its client goes', async () => {
    const { port, hub } = await api();
    const streams = await Promise.all([open(port), open(port), open(port)]);
    await until('three clients', () => hub.clients === 3);
    for (const stream of streams) stream.close();
    await until('no clients', () => hub.clients === 0);
    // A topic that was left works again.
    const again = await open(port);
    await until('the snapshot', () => again.messages.length === 1);
    await publish(0, 1);
    await until('the entry', () => again.messages.length === 2);
  });

  test('HEAD is refused and joins nothing', async () => {
    const { port, hub } = await api();
    const { status } = await open(port, { method: 'HEAD' });
    expect(status).toBe(405);
    expect(hub.clients).toBe(0);
  });
});

describe('who may follow', () => {
  test("another tenant's job is the same 404 as none, with or without a cursor", async () => {
    const { port } = await api();
    const cursor = await log.cursor(topic);
    job = await insertJob(db, await insertTenant(db));
    expect((await open(port)).status).toBe(404);
    expect((await open(port, { cursor })).status).toBe(404);
    job = { tenantId, jobId: newId('job') };
    expect((await open(port)).status).toBe(404);
    expect(await redis.exists(realtimeKeys(prefix).log(`job:${job.jobId}`))).toBe(0);
  });

  test('a key without jobs:read is refused', async () => {
    const { port } = await api({ scopes: ['jobs:write'] });
    expect((await open(port)).status).toBe(403);
  });
});

describe('resuming', () => {
  test('an EventSource cut off 20 times, between two processes, gets exactly the log: in order, once', async () => {
    const proxy = await proxyTo(await api(), await api());
    const { source, got } = eventSource(proxy.port);
    await until('the snapshot', () => got.length === 1);
    const start = Number(got[0]?.id);
    for (let cut = 0; cut < 20; cut++) {
      await publish(cut * 10, cut * 10 + 5);
      const taken = proxy.taken;
      proxy.cut();
      await publish(cut * 10 + 5, cut * 10 + 10);
      await until('the client back', () => proxy.taken > taken);
    }
    await move('completed');
    await until('done', () => got.at(-1)?.event === 'done');
    expect(ids(got).slice(1)).toEqual(await loggedAfter(start));
    expect(events(got.slice(1, -1)).every((event) => event === 'progress')).toBe(true);
    // 204 is what tells an EventSource that there is nothing to come back for.
    await until('the end', () => source.readyState === source.CLOSED);
  });

  test('a cursor in the address works under both names, and the header is the newer', async () => {
    const { port } = await api();
    const cursor = await log.cursor(topic);
    await publish(0, 3);
    const logged = await loggedAfter(cursor);
    for (const query of [`?last_event_id=${cursor}`, `?lastEventId=${cursor}`]) {
      const stream = await open(port, { query });
      await until('the entries', () => stream.messages.length === 3);
      expect(ids(stream.messages)).toEqual(logged);
    }
    const stream = await open(port, { query: `?last_event_id=${cursor}`, cursor: logged[1] ?? 0 });
    await until('the entry', () => stream.messages.length === 1);
    expect(ids(stream.messages)).toEqual(logged.slice(2));
  });

  test('from a cursor before the end: what is left, `done`, and then 204', async () => {
    const { port } = await api();
    const cursor = await log.cursor(topic);
    await publish(0, 2);
    await move('completed_with_errors');
    const stream = await open(port, { cursor });
    await stream.ended;
    expect(events(stream.messages)).toEqual(['progress', 'progress', 'done']);
    expect(ids(stream.messages)).toEqual(await loggedAfter(cursor));
    expect((await open(port, { cursor: stream.messages.at(-1)?.id ?? '' })).status).toBe(204);
  });

  test('a long replay arrives whole while new entries keep coming', async () => {
    const { port } = await api();
    const cursor = await log.cursor(topic);
    await log.publish(Array.from({ length: 1_500 }, (_, n) => progress(job.jobId, { n })));
    const stream = await open(port, { cursor });
    await publish(1_500, 1_600);
    await until('all entries', () => stream.messages.length >= 1_600);
    expect(ids(stream.messages)).toEqual(await loggedAfter(cursor));
  });

  test.each([
    '-1',
    '0',
    '99999999999999999999999',
    '9007199254740991',
    '1e15',
    'abc',
    '1-0',
    "';drop",
    '%F0%9F%98%80',
  ])('the forged cursor %s gets a reset and a new snapshot', async (cursor) => {
    const { port } = await api();
    const stream = await open(port, { query: `?last_event_id=${cursor}` });
    await until('two messages', () => stream.messages.length === 2);
    expect(events(stream.messages)).toEqual(['reset', 'snapshot']);
    await publish(0, 1);
    await until('the entry', () => stream.messages.length === 3);
    expect(ids(stream.messages.slice(2))).toEqual(await loggedAfter(Number(stream.messages[1]?.id)));
  });

  test('a cursor with a NUL is refused like every address that holds one', async () => {
    const { port, hub } = await api();
    expect((await open(port, { query: '?last_event_id=12%00' })).status).toBe(422);
    expect(hub.clients).toBe(0);
  });

  test('a cursor that was evicted gets a reset and a new snapshot', async () => {
    const { port } = await api();
    const cursor = await log.cursor(topic);
    const small = createRealtimeLog({ redis, prefix, onRefused: () => undefined, jobEntriesMax: 10 });
    await small.publish(Array.from({ length: 300 }, (_, n) => progress(job.jobId, { n })));
    const stream = await open(port, { cursor });
    await until('two messages', () => stream.messages.length === 2);
    expect(events(stream.messages)).toEqual(['reset', 'snapshot']);
  });
});

describe('when something fails', () => {
  test('a Redis that lost its data: reset, the state as it is, and ids that go on growing', async () => {
    const { port } = await api();
    const { got } = eventSource(port);
    await until('the snapshot', () => got.length === 1);
    await publish(0, 3);
    await until('the entries', () => got.length === 4);
    const before = Number(got[3]?.id);
    await redis.flushdb();
    await move('running', 'job.started');
    await until('the new snapshot', () => got.filter(({ event }) => event === 'snapshot').length === 2);
    await publish(3, 5);
    await until('the entries', () => got.filter(({ event }) => event === 'progress').length === 5);
    const again = got.slice(got.findIndex(({ event }) => event === 'reset'));
    const snapshot = again.find(({ event }) => event === 'snapshot');
    expect(snapshot?.data).toMatchObject({ status: 'running' });
    const later = ids(again.slice(again.indexOf(snapshot as Message)));
    expect(later.every((id, i) => id > (later[i - 1] ?? before))).toBe(true);
  });

  test('a Redis that restarts: every stream starts anew by itself and follows again', async () => {
    const { port } = await api();
    const stream = await open(port);
    await until('the snapshot', () => stream.messages.length === 1);
    await ownRedis.kill();
    await ownRedis.start();
    await until('the new snapshot', () => stream.messages.length === 3);
    expect(events(stream.messages)).toEqual(['snapshot', 'reset', 'snapshot']);
    await until('the connection', () => redis.status === 'ready');
    await publish(0, 2);
    await until('the entries', () => stream.messages.length === 5);
  });

  test('while Redis is away a client gets the state each time it asks, and follows when Redis is back', async () => {
    const { port } = await api();
    await ownRedis.kill();
    const stream = await open(port);
    await stream.ended;
    expect(events(stream.messages)).toEqual(['snapshot']);
    expect(stream.messages[0]?.id).toBeUndefined();
    const { got } = eventSource(port);
    await until('snapshots', () => got.length >= 2);
    await ownRedis.start();
    await until('the connection', () => redis.status === 'ready');
    await until('an entry', async () => {
      await publish(0, 1);
      return got.some(({ event }) => event === 'progress');
    });
  });

  test('a reader that stops reading is cut off at its limit; the others get everything', async () => {
    const { port, hub } = await api({ hub: { pendingBytesMax: 262_144 } });
    const reader = await open(port);
    const stalled = connect(port, '127.0.0.1');
    stalled.on('error', () => undefined);
    cleanUps.push(() => stalled.destroy());
    await once(stalled, 'connect');
    stalled.pause();
    stalled.write(
      `GET /v1/jobs/${job.jobId}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`,
    );
    await until('both', () => hub.clients === 2);
    const filler = 'x'.repeat(100_000);
    let sent = 0;
    while (hub.clients > 1) {
      await log.publish([progress(job.jobId, { n: sent++, filler })]);
      // The reader that reads must be able to: the two share one machine with the sender.
      await until('the reader', () => reader.text.length > sent * filler.length);
      if (sent > 400) throw new Error('the stalled reader was not cut off');
    }
    await publish(sent, sent + 3);
    await until('the entries', () => reader.messages.length === sent + 4);
    expect(ids(reader.messages.slice(1))).toEqual(await loggedAfter(Number(reader.messages[0]?.id)));
  });

  test('a replay goes at the pace of its reader', async () => {
    const { port, hub } = await api({ hub: { pendingBytesMax: 3_000_000 } });
    const cursor = await log.cursor(topic);
    const filler = 'x'.repeat(10_000);
    await log.publish(Array.from({ length: 700 }, (_, n) => progress(job.jobId, { n, filler })));
    const slow = connect(port, '127.0.0.1');
    cleanUps.push(() => slow.destroy());
    await once(slow, 'connect');
    slow.pause();
    slow.write(
      `GET /v1/jobs/${job.jobId}/events HTTP/1.0\r\nLast-Event-ID: ${cursor}\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`,
    );
    await until('the client', () => hub.clients === 1);
    await move('completed');
    let text = '';
    slow.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    slow.resume();
    await once(slow, 'end');
    const sent = [...text.matchAll(/^id: (\d+)/gm)].map(([, id]) => Number(id));
    expect(sent).toEqual(await loggedAfter(cursor));
  });

  test('a drain tells each client when to come back and ends its stream; it goes on elsewhere', async () => {
    const [one, two] = [await api(), await api()];
    const proxy = await proxyTo(one, two);
    const { got } = eventSource(proxy.port);
    const raw = await open(one.port);
    await until('the snapshots', () => got.length === 1 && raw.messages.length === 1);
    const drained = one.drain();
    await raw.ended;
    expect(raw.text.trimEnd()).toMatch(/retry: \d+$/);
    await until('the other process', () => two.hub.clients === 1);
    await publish(0, 2);
    await until('the entries', () => got.length === 3);
    expect(events(got)).toEqual(['snapshot', 'progress', 'progress']);
    await drained;
    await expect(open(one.port)).rejects.toThrow();
  });
});
