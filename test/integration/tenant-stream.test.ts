import { connect } from 'node:net';
import type { Redis } from 'ioredis';
import type { Admission } from '../../src/api/realtime/admission';
import { AppError } from '../../src/domain/errors';
import type { Scope } from '../../src/domain/key/scopes';
import { type Publication, progressPublication, publicationOf } from '../../src/domain/realtime/publication';
import { newId } from '../../src/platform/clock';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { whenReady } from '../../src/platform/redis/client';
import { createRealtimeLog, type RealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { parseEventStream, type StreamedMessage } from '../support/event-stream';
import { openStream, type OpenStream } from '../support/open-stream';
import { knownKey } from '../support/principal';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { until } from '../support/wait';
import {
  type ApiProcess,
  type ApiProcessOptions,
  connectRedis,
  insertJob,
  insertTenant,
  openDatabase,
  type OwnRedis,
  startApiProcess,
  startOwnRedis,
  TEST_KEY,
} from './realtime-support';

let testDatabase: TestDatabase;
let ownRedis: OwnRedis;
let db: PostgresDatabase;
let redis: Redis;
let prefix: string;
let tenantId: string;
let log: RealtimeLog;
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

type Options = Partial<Omit<ApiProcessOptions, 'redisUrl' | 'prefix' | 'db' | 'key'>> & {
  scopes?: readonly Scope[];
};

async function api({ scopes = ['events:read', 'jobs:read'], ...options }: Options = {}): Promise<ApiProcess> {
  const key = knownKey({ tenantId, scopes });
  const started = await startApiProcess({ redisUrl: ownRedis.url, prefix, db, key, ...options });
  cleanUps.push(() => started.stop());
  return started;
}

async function open(
  { port }: ApiProcess,
  { path = '/v1/events/stream', cursor }: { path?: string; cursor?: string | number } = {},
): Promise<OpenStream> {
  const headers: Record<string, string> = cursor === undefined ? {} : { 'Last-Event-ID': String(cursor) };
  const stream = await openStream({ url: `http://127.0.0.1:${port}` }, path, { key: TEST_KEY, headers });
  cleanUps.push(() => stream.close());
  return stream;
}

const messages = (stream: OpenStream): StreamedMessage[] => parseEventStream(stream.text);
const events = (stream: OpenStream): string[] => messages(stream).map(({ event }) => event);

function happened(type: string, data = '{}', subject = ''): Publication {
  const id = newId('event');
  return publicationOf({ id, tenant_id: tenantId, type, subject, data, created_at: new Date(0) });
}

async function ready(stream: OpenStream): Promise<void> {
  await until('ready', () => events(stream).includes('ready'));
}

describe('the stream of a tenant', () => {
  test('says where it begins, then tells each event with the exact text of its payload', async () => {
    const stream = await open(await api());
    await ready(stream);
    const exact = [
      happened('order.paid', '{ "price": 1.0,  "é": "😀",\n "big": 12345678901234567890 }'),
      happened('job.completed', '{"status":"completed"}', newId('job')),
    ];
    await log.publish(exact);
    await until('both', () => events(stream).length === 3);
    const [begin, ...told] = messages(stream);
    expect(begin).toMatchObject({ event: 'ready', data: { cursor: Number(begin?.id) } });
    expect(told.map(({ event, text }) => ({ event, text }))).toEqual(
      exact.map(({ payload }) => ({ event: 'event', text: payload })),
    );
    const ids = messages(stream).map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
    expect(stream.hasEnded).toBe(false);
  });

  test('tells nothing of other tenants, and not the progress of jobs', async () => {
    const stream = await open(await api());
    await ready(stream);
    const own = tenantId;
    tenantId = await insertTenant(db);
    const foreign = happened('order.paid');
    tenantId = own;
    await log.publish([foreign, progressPublication(newId('job'), {}), happened('order.sent')]);
    await until('the own', () => events(stream).length === 2);
    expect(messages(stream)[1]?.data).toMatchObject({ type: 'order.sent' });
  });

  test('resumes on another process with exactly what came meanwhile', async () => {
    const [one, two] = [await api(), await api()];
    const first = await open(one);
    await ready(first);
    await log.publish([happened('a.1')]);
    await until('the event', () => events(first).length === 2);
    first.close();
    await log.publish([happened('a.2'), happened('a.3')]);
    const second = await open(two, { cursor: messages(first).at(-1)?.id ?? '' });
    await log.publish([happened('a.4')]);
    await until('all', () => events(second).length === 3);
    expect(messages(second).map(({ data }) => (data as { type: string }).type)).toEqual([
      'a.2',
      'a.3',
      'a.4',
    ]);
  });

  test.each(['-1', '0', 'abc', '9007199254740991', '99999999999999999999'])(
    'the forged cursor %s gets a reset and a beginning',
    async (cursor) => {
      const stream = await open(await api(), { cursor });
      await ready(stream);
      expect(events(stream)).toEqual(['reset', 'ready']);
      expect(messages(stream)[0]?.data).toEqual({ reason: 'cursor_unknown' });
      await log.publish([happened('a.1')]);
      await until('the event', () => events(stream).length === 3);
    },
  );

  test('a cursor that the log no longer reaches back to gets a reset', async () => {
    const cursor = await log.cursor(`tenant:${tenantId}`);
    const small = createRealtimeLog({ redis, prefix, onRefused: () => undefined, tenantEntriesMax: 10 });
    await small.publish(Array.from({ length: 300 }, () => happened('a.1')));
    const stream = await open(await api(), { cursor });
    await ready(stream);
    expect(events(stream)).toEqual(['reset', 'ready']);
  });

  test('a Redis that lost its data: reset, and it goes on with ids that grow', async () => {
    const stream = await open(await api());
    await ready(stream);
    await log.publish([happened('a.1')]);
    await until('the event', () => events(stream).length === 2);
    await redis.flushdb();
    await log.publish([happened('a.2')]);
    await until('the beginning', () => events(stream).filter((event) => event === 'ready').length === 2);
    await log.publish([happened('a.3')]);
    await until('the event', () => messages(stream).at(-1)?.data.type === 'a.3');
    expect(messages(stream).find(({ event }) => event === 'reset')?.data).toEqual({ reason: 'log_lost' });
    const ids = messages(stream).flatMap(({ id }) => (id === undefined ? [] : [Number(id)]));
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
  });

  test('while Redis is away it ends, to be asked for again', async () => {
    const process = await api();
    await ownRedis.kill();
    const stream = await open(process);
    await until('the end', () => stream.hasEnded);
    expect(stream.status).toBe(200);
    expect(stream.text).toContain('retry: 20\n');
    expect(events(stream)).toEqual([]);
    await ownRedis.start();
    await until('the connection', () => redis.status === 'ready');
    await until('a beginning', async () => {
      const again = await open(process);
      await until('something', () => again.hasEnded || events(again).length > 0);
      return events(again)[0] === 'ready';
    });
  });
});

describe('a filter of types', () => {
  test('lets through what it names, exactly or by its beginning, live and in replay alike', async () => {
    const process = await api();
    const path = '/v1/events/stream?types=job.*,quota.warning';
    const live = await open(process, { path });
    await ready(live);
    const cursor = messages(live)[0]?.id ?? '';
    const types = [
      'job.created',
      'quota.exceeded',
      'quota.warning',
      'jobs.other',
      'job',
      'job.a.b',
      'a.job.x',
    ];
    await log.publish(types.map((type) => happened(type)));
    const typesOf = (stream: OpenStream): string[] =>
      messages(stream).flatMap(({ event, data }) =>
        event === 'event' ? [(data as { type: string }).type] : [],
      );
    await until('the last', () => typesOf(live).length === 3);
    const replayed = await open(process, { path, cursor });
    await until('the last', () => typesOf(replayed).length === 3);
    expect(typesOf(live)).toEqual(['job.created', 'quota.warning', 'job.a.b']);
    expect(typesOf(replayed)).toEqual(typesOf(live));
  });

  test('that lets little through still moves the cursor, so that coming back is never a reset', async () => {
    const process = await api({ markMs: 20 });
    const stream = await open(process, { path: '/v1/events/stream?types=never.*' });
    await ready(stream);
    await log.publish([happened('a.1'), happened('a.2')]);
    const last = await log.cursor(`tenant:${tenantId}`);
    await until('the cursor', () => Number(messages(stream).at(-1)?.id) === last);
    expect(new Set(events(stream))).toEqual(new Set(['ready', 'cursor']));
    expect(messages(stream).at(-1)).toMatchObject({ event: 'cursor', data: { cursor: last } });
  });

  test.each(['', 'job.', '*.created', 'a b', 'job.*.x', `${'x'.repeat(129)}`, Array(51).fill('a').join(',')])(
    'that is none (%j) is refused',
    async (types) => {
      const process = await api();
      const stream = await open(process, { path: `/v1/events/stream?types=${encodeURIComponent(types)}` });
      expect(stream.status).toBe(422);
      expect(process.hub.clients).toBe(0);
    },
  );
});

describe('who may follow', () => {
  test('a key without events:read is refused', async () => {
    expect((await open(await api({ scopes: ['jobs:read'] }))).status).toBe(403);
  });

  test('who is let in takes a seat, and gives it back however the stream ends', async () => {
    let seats = 0;
    const ends: (() => void)[] = [];
    const admission: Admission = {
      admit: async (_entrant, onEnd) => {
        seats++;
        ends.push(() => onEnd('credential_ended'));
        return { needs: () => undefined, leave: () => void seats-- };
      },
    };
    const process = await api({ admission });
    const [one, two] = [await open(process), await open(process)];
    await Promise.all([ready(one), ready(two)]);
    expect(seats).toBe(2);
    one.close();
    await until('a seat less', () => seats === 1);
    // What it was let in by no longer carries it.
    ends[1]?.();
    await until('the end', () => two.hasEnded);
    await until('no seats', () => seats === 0);
    expect(process.metrics.counts).toMatchObject({ opened: 2, closed: 2 });
  });

  test('a stream that was asked for behind another one, and whose turn never comes, gives its seat back', async () => {
    let seats = 0;
    const admission: Admission = {
      admit: async () => {
        seats++;
        return { needs: () => undefined, leave: () => void seats-- };
      },
    };
    const process = await api({ admission });
    const request = `GET /v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TEST_KEY}\r\n\r\n`;
    const socket = connect(process.port, '127.0.0.1');
    cleanUps.push(() => socket.destroy());
    socket.write(request.repeat(3));
    await until('all are in', () => seats === 3);
    socket.destroy();
    await until('no seats', () => seats === 0);
    expect(process.hub.clients).toBe(0);
  });

  test('a stream whose right ends while it is let in ends at once', async () => {
    const admission: Admission = {
      admit: async (_entrant, onEnd) => {
        onEnd('credential_ended');
        return { needs: () => undefined, leave: () => undefined };
      },
    };
    const stream = await open(await api({ admission }));
    await until('the end', () => stream.hasEnded);
    expect(events(stream)).toEqual([]);
  });

  test('one too many is refused before anything is sent', async () => {
    const admission: Admission = {
      admit: () =>
        Promise.reject(new AppError('too_many_connections', 'Too many.', { retryAfterSeconds: 3 })),
    };
    const process = await api({ admission });
    const stream = await open(process);
    expect(stream.status).toBe(429);
    expect(stream.headers.get('retry-after')).toBe('3');
    expect(process.hub.clients).toBe(0);
  });
});

describe('what is told live only', () => {
  const item = (jobId: string, index: number): Publication => ({
    eventId: undefined,
    type: 'job.item',
    payload: JSON.stringify({ type: 'job.item', data: { job_id: jobId, index } }),
    targets: [{ topic: `job:${jobId}`, final: false }],
    fleeting: true,
  });

  test('reaches those who asked for items, without an id, and is in no log', async () => {
    const watched: string[] = [];
    const items = {
      watch: (jobId: string) => {
        watched.push(jobId);
        return () => void watched.pop();
      },
    };
    const { jobId } = await insertJob(db, tenantId);
    const process = await api({ items });
    const path = `/v1/jobs/${jobId}/events`;
    const [plain, wanting] = [
      await open(process, { path }),
      await open(process, { path: `${path}?items=true` }),
    ];
    await until('snapshots', () => events(plain).length === 1 && events(wanting).length === 1);
    expect(watched).toEqual([jobId]);
    await log.publish([item(jobId, 0), progressPublication(jobId, { n: 1 })]);
    await until('both', () => events(plain).length === 2 && events(wanting).length === 3);
    expect(events(plain)).toEqual(['snapshot', 'progress']);
    expect(messages(wanting)[1]).toMatchObject({
      event: 'item',
      id: undefined,
      data: { type: 'job.item', job_id: jobId, index: 0 },
    });
    const logged = await redis.xrange(realtimeKeys(prefix).log(`job:${jobId}`), '-', '+');
    expect(logged.filter(([, fields]) => fields[1] !== '')).toHaveLength(1);
    wanting.close();
    await until('nobody watches', () => watched.length === 0);
  });
});

describe('one cursor for all topics', () => {
  test('read before a topic has anything: what follows is told without a reset', async () => {
    const process = await api();
    const cursor = await log.latestCursor();
    const { jobId } = await insertJob(db, tenantId);
    await log.publish([
      happened('job.created', `{"job_id":"${jobId}"}`, jobId),
      progressPublication(jobId, { n: 1 }),
    ]);
    const stream = await open(process, { path: `/v1/jobs/${jobId}/events`, cursor });
    await until('both', () => events(stream).length === 2);
    expect(events(stream)).toEqual(['status', 'progress']);
  });

  test('read while others move on: of this topic only what came after', async () => {
    const process = await api();
    const [one, two] = [await insertJob(db, tenantId), await insertJob(db, tenantId)];
    await log.publish([one, two].map(({ jobId }) => happened('job.created', '{}', jobId)));
    await log.publish([progressPublication(one.jobId, { n: 1 }), progressPublication(two.jobId, { n: 1 })]);
    const cursor = await log.latestCursor();
    await log.publish([progressPublication(two.jobId, { n: 2 })]);
    await log.publish([progressPublication(one.jobId, { n: 2 })]);
    const stream = await open(process, { path: `/v1/jobs/${one.jobId}/events`, cursor });
    await until('it', () => events(stream).length === 1);
    expect(messages(stream)[0]).toMatchObject({ event: 'progress', data: { n: 2 } });
  });

  test('from before the log was trimmed, or the topic forgotten: reset', async () => {
    const process = await api();
    const { jobId } = await insertJob(db, tenantId);
    const small = createRealtimeLog({ redis, prefix, onRefused: () => undefined, jobEntriesMax: 10 });
    await small.publish([happened('job.created', '{}', jobId)]);
    const cursor = await log.latestCursor();
    await small.publish(Array.from({ length: 300 }, (_, n) => progressPublication(jobId, { n })));
    const path = `/v1/jobs/${jobId}/events`;
    const trimmed = await open(process, { path, cursor });
    await until('a snapshot', () => events(trimmed).includes('snapshot'));
    expect(events(trimmed)).toEqual(['reset', 'snapshot']);
    const later = await log.latestCursor();
    await redis.del(realtimeKeys(prefix).log(`job:${jobId}`));
    await log.publish([progressPublication(jobId, { n: 1 })]);
    const forgotten = await open(process, { path, cursor: later });
    await until('a snapshot', () => events(forgotten).includes('snapshot'));
    expect(events(forgotten)).toEqual(['reset', 'snapshot']);
  });

  test("of a tenant's trimmed log, whatever it begins with: reset, no gap", async () => {
    const process = await api();
    const small = createRealtimeLog({ redis, prefix, onRefused: () => undefined, tenantEntriesMax: 10 });
    const cursor = await log.latestCursor();
    const jobIds = Array.from({ length: 300 }, () => newId('job'));
    await small.publish(jobIds.map((jobId) => happened('job.created', '{}', jobId)));
    const [first] = await redis.xrange(realtimeKeys(prefix).log(`tenant:${tenantId}`), '-', '+', 'COUNT', 1);
    expect(first?.[1]).toContain('job.created');
    const stream = await open(process, { cursor });
    await until('something', () => events(stream).length > 0);
    expect(events(stream)).toEqual(['reset', 'ready']);
  });

  test('what was missed comes in pages of few bytes, and whole', async () => {
    const process = await api();
    await log.publish([happened('a.first')]);
    const cursor = await log.latestCursor();
    const data = JSON.stringify('x'.repeat(16_000));
    await log.publish(Array.from({ length: 40 }, (_, n) => happened(`a.n${n}`, data)));
    const page = await log.replay(`tenant:${tenantId}`, cursor, 256);
    expect(page).toMatchObject({ state: 'entries', more: true });
    expect(JSON.stringify(page).length).toBeLessThan(150_000);
    const stream = await open(process, { cursor });
    await until('all', () => events(stream).length === 40);
    const types = messages(stream).map(({ data }) => (data as { type: string }).type);
    expect(types).toEqual(Array.from({ length: 40 }, (_, n) => `a.n${n}`));
  });

  test('from before Redis restarted: reset', async () => {
    const process = await api();
    const { jobId } = await insertJob(db, tenantId);
    await log.publish([happened('job.created', '{}', jobId)]);
    const cursor = await log.latestCursor();
    await redis.flushdb();
    await log.publish([happened('job.created', '{}', jobId)]);
    const stream = await open(process, { path: `/v1/jobs/${jobId}/events`, cursor });
    await until('a snapshot', () => events(stream).includes('snapshot'));
    expect(events(stream)[0]).toBe('reset');
  });
});
