import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Progress } from '../../src/domain/batch/progress';
import type { Publication } from '../../src/domain/realtime/publication';
import type { LogEntry } from '../../src/domain/realtime/topic-log';
import { newId } from '../../src/platform/clock';
import { createBlockingRedis, whenReady } from '../../src/platform/redis/client';
import { createFirehose, type Firehose } from '../../src/platform/redis/firehose';
import { createProgressPublisher } from '../../src/platform/redis/progress-publisher';
import {
  createRealtimeLog,
  type RealtimeLog,
  type RealtimeLogOptions,
  realtimeKeys,
} from '../../src/platform/redis/realtime-log';
import { until } from '../support/wait';
import { connectRedis, deferred, type OwnRedis, progress, silent, startOwnRedis } from './realtime-support';

let ownRedis: OwnRedis;
let redis: Redis;
let prefix: string;
let log: RealtimeLog;
let jobId: string;
let topic: string;
const firehoses: Firehose[] = [];

beforeAll(async () => {
  ownRedis = await startOwnRedis();
  redis = connectRedis(ownRedis.url);
  await whenReady(redis, 10_000);
});

beforeEach(() => {
  prefix = `${newId('request')}:`;
  log = openLog({});
  jobId = newId('job');
  topic = `job:${jobId}`;
});

afterEach(async () => {
  await Promise.all(firehoses.splice(0).map((firehose) => firehose.stop()));
});

afterAll(async () => {
  redis.disconnect();
  await ownRedis.remove();
});

function openLog(limits: Partial<RealtimeLogOptions>): RealtimeLog {
  return createRealtimeLog({ redis, prefix, onRefused: () => undefined, ...limits });
}

function event(type: string, final = false): Publication {
  const eventId = newId('event');
  return { eventId, type, payload: `{"type":"${type}","data":{}}`, targets: [{ topic, final }] };
}

const numbered = (count: number): Publication[] =>
  Array.from({ length: count }, (_, n) => progress(jobId, { n }));

/** All that replay gives, page by page. */
async function replayAll(cursor: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (let at = cursor; ; ) {
    const page = await log.replay(topic, at, 7);
    if (page.state !== 'entries') throw new Error(page.state);
    entries.push(...page.entries);
    at = page.cursor;
    if (!page.more) return entries;
  }
}

const isGrowing = (ids: readonly number[]): boolean =>
  ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? 0));

interface Follower {
  firehose: Firehose;
  connection: Redis;
  entries: LogEntry[];
  resets: number;
}

/** A reader of its own connection that follows the test's topic. */
async function follow(): Promise<Follower> {
  const connection = createBlockingRedis({
    url: ownRedis.url,
    name: 'firehose',
    onDown: () => undefined,
    onUp: () => undefined,
  });
  const firehose = createFirehose({ redis: connection, prefix, log: silent });
  firehoses.push(firehose);
  await firehose.ready();
  const follower: Follower = { firehose, connection, entries: [], resets: 0 };
  firehose.subscribe(topic, {
    onEntry: (entry) => follower.entries.push(entry),
    onReset: () => follower.resets++,
  });
  return follower;
}

describe('the realtime log', () => {
  test('replay gives what came after the cursor: all of it, in order, once', async () => {
    const cursor = await log.cursor(topic);
    await log.publish(numbered(100));
    const entries = await replayAll(cursor);
    expect(entries.map(({ payload }) => (JSON.parse(payload) as { data: { n: number } }).data.n)).toEqual(
      Array.from({ length: 100 }, (_, n) => n),
    );
    expect(isGrowing([cursor, ...entries.map(({ id }) => id)])).toBe(true);
    const [, , third] = entries;
    expect((await replayAll(third?.id ?? 0)).map(({ id }) => id)).toEqual(
      entries.slice(3).map(({ id }) => id),
    );
    expect(await replayAll(entries.at(-1)?.id ?? 0)).toEqual([]);
  });

  test('ids are safe integers that grow, also when Redis has lost all its data', async () => {
    const ids: number[] = [];
    for (let round = 0; round < 3; round++) {
      const cursor = await log.cursor(topic);
      await log.publish(numbered(50));
      ids.push(cursor, ...(await replayAll(cursor)).map(({ id }) => id));
      await redis.flushdb();
    }
    expect(isGrowing(ids)).toBe(true);
    expect(ids.every(Number.isSafeInteger)).toBe(true);
  });

  test('ids grow although the clock stands still or goes back', async () => {
    const ahead = Date.now() * 1_000 + 3_600_000_000;
    await redis.xadd(`${prefix}realtime:log:${topic}`, `${ahead}-0`, 't', 'test', 'p', '{}');
    await log.publish(numbered(2));
    const cursor = await log.cursor(topic);
    expect(cursor).toBe(ahead + 2);
  });

  test('a cursor that the log does not know is lost: too old, evicted, from the future', async () => {
    const small = openLog({ jobEntriesMax: 10 });
    const evicted = await small.cursor(topic);
    await small.publish(numbered(500));
    const last = await small.cursor(topic);
    for (const cursor of [evicted, 1, last + 1, Number.MAX_SAFE_INTEGER]) {
      expect(await log.replay(topic, cursor, 10)).toEqual({ state: 'lost' });
    }
    expect(await log.replay(topic, last, 10)).toMatchObject({ state: 'entries', entries: [] });
    expect(await log.replay(`job:${newId('job')}`, last, 10)).toEqual({ state: 'lost' });
  });

  test('a cursor from before Redis lost its data is lost, whatever has come since', async () => {
    await log.publish(numbered(3));
    const before = await log.cursor(topic);
    await redis.flushdb();
    await log.publish(numbered(3));
    expect(await log.replay(topic, before, 10)).toEqual({ state: 'lost' });
  });

  test('a cursor from before a restart of Redis is lost, since the restart may have cost the tail', async () => {
    await log.publish(numbered(3));
    const kept = await log.cursor(topic);
    await redis.save();
    await log.publish(numbered(3));
    await ownRedis.kill();
    await ownRedis.start();
    await until('the connection', () => redis.status === 'ready');
    expect(await redis.xlen(`${prefix}realtime:log:${topic}`)).toBe(3);
    expect(await log.replay(topic, kept, 10)).toEqual({ state: 'lost' });
    const cursor = await log.cursor(topic);
    await log.publish(numbered(2));
    expect(await replayAll(cursor)).toHaveLength(2);
  });

  test('after the end: nothing to replay, no more progress, and an expiry of an hour', async () => {
    await log.publish([event('job.started'), event('job.completed', true)]);
    const end = await log.cursor(topic);
    expect(await log.replay(topic, end, 10)).toEqual({ state: 'ended' });
    expect(await log.replay(topic, end - 1, 10)).toMatchObject({
      entries: [{ id: end, type: 'job.completed' }],
    });
    await log.publish(numbered(1));
    expect(await log.cursor(topic)).toBe(end);
    const ttl = await redis.ttl(`${prefix}realtime:log:${topic}`);
    expect(ttl).toBeGreaterThan(3_000);
    expect(ttl).toBeLessThanOrEqual(3_600);
  });

  test('what happens after the end keeps the mark of the end for as long as the log', async () => {
    await log.publish([event('job.completed', true)]);
    const keys = realtimeKeys(prefix);
    await redis.expire(keys.end(topic), 60);
    await log.publish([event('job.updated')]);
    expect(await redis.ttl(keys.end(topic))).toBeGreaterThan(3_000);
    expect(await log.replay(topic, await log.cursor(topic), 10)).toEqual({ state: 'ended' });
  });

  test('a topic whose log has expired, or is still behind, can be closed at a cursor that says ended', async () => {
    const end = await log.finalCursor(topic);
    expect(await log.replay(topic, end, 10)).toEqual({ state: 'ended' });
    expect(await log.finalCursor(topic)).toBe(end);
    await log.publish([event('job.completed', true)]);
    expect(await log.replay(topic, end, 10)).toEqual({ state: 'ended' });
  });

  test('logs without an end expire too, and no log outgrows its cap by much', async () => {
    await openLog({ jobEntriesMax: 100, shardEntriesMax: 100 }).publish(numbered(2_000));
    expect(await redis.ttl(`${prefix}realtime:log:${topic}`)).toBeGreaterThan(86_400);
    const keys = (await redis.keys(`${prefix}realtime:{log,firehose}*`)).concat(
      await redis.keys(`${prefix}realtime:log*`),
      await redis.keys(`${prefix}realtime:firehose*`),
    );
    expect(keys.length).toBeGreaterThanOrEqual(2);
    for (const key of keys) expect(await redis.xlen(key)).toBeLessThan(300);
  });
});

describe('the firehose', () => {
  test('each reader gets the entries of its topics, as the log has them', async () => {
    const [one, two] = [await follow(), await follow()];
    const cursor = await log.cursor(topic);
    await log.publish(numbered(20));
    await log.publish([progress(newId('job'), { other: true })]);
    await until('all entries', () => one.entries.length >= 20 && two.entries.length >= 20);
    const entries = await replayAll(cursor);
    expect(one.entries).toEqual(entries);
    expect(two.entries).toEqual(entries);
  });

  test('a reader whose connection breaks goes on from where it was: nothing skipped, nothing twice', async () => {
    const follower = await follow();
    const cursor = await log.cursor(topic);
    for (let round = 0; round < 5; round++) {
      await log.publish(numbered(10));
      await until('the entries', () => follower.entries.length > round * 20);
      const id = Number(/id=(\d+) .*name=firehose /.exec(String(await redis.client('LIST')))?.[1]);
      await redis.client('KILL', 'ID', id);
      await log.publish(numbered(10));
    }
    await until('all entries', () => follower.entries.length >= 100);
    expect(follower.entries).toEqual(await replayAll(cursor));
    expect(follower.resets).toBe(0);
  });

  test('a reader that the firehose was trimmed past tells its listeners to start anew', async () => {
    const small = openLog({ shardEntriesMax: 1 });
    const follower = await follow();
    await small.publish(numbered(1));
    await until('the entry', () => follower.entries.length === 1);
    follower.connection.disconnect();
    await small.publish(numbered(1_000));
    await follower.connection.connect();
    await until('the reset', () => follower.resets > 0);
    await until('the last entry', async () => follower.entries.at(-1)?.id === (await log.cursor(topic)));
  });

  test('large entries are kept in smaller number: neither a log nor the firehose grows past its bytes', async () => {
    const payload = JSON.stringify({ data: 'x'.repeat(60_000) });
    const targets = [{ topic, final: false }];
    for (let n = 0; n < 10; n++) {
      await log.publish(
        Array.from({ length: 64 }, () => ({ eventId: undefined, type: 'x', payload, targets })),
      );
    }
    const keys = realtimeKeys(prefix);
    const sizes = await Promise.all(
      [keys.log(topic), ...keys.firehose].map((key) => redis.memory('USAGE', key)),
    );
    const [ofLog = 0, ...ofShards] = sizes.map((bytes) => (bytes ?? 0) / 1024 / 1024);
    expect(ofLog).toBeGreaterThan(4);
    expect(ofLog).toBeLessThan(12);
    expect(Math.max(...ofShards)).toBeLessThan(24);
  });

  test('lost data is noticed with the next entry, which still arrives', async () => {
    const follower = await follow();
    await log.publish(numbered(3));
    await until('the entries', () => follower.entries.length === 3);
    await redis.flushdb();
    await log.publish(numbered(1));
    await until('the entry', () => follower.entries.length === 4);
    expect(follower.resets).toBe(1);
    expect(isGrowing(follower.entries.map(({ id }) => id))).toBe(true);
  });

  test('lost data is noticed although nothing comes any more', async () => {
    const follower = await follow();
    await log.publish(numbered(1));
    await until('the entry', () => follower.entries.length === 1);
    await redis.flushdb();
    await until('the reset', () => follower.resets === 1);
  });

  test('a restart of Redis is a reset, and the entries after it arrive', async () => {
    const follower = await follow();
    await ownRedis.kill();
    await ownRedis.start();
    await until('the reset', () => follower.resets === 1);
    await until('the connection', () => redis.status === 'ready');
    await log.publish(numbered(2));
    await until('the entries', () => follower.entries.length === 2);
  });

  test('a listener that throws takes no entries from the others', async () => {
    const follower = await follow();
    follower.firehose.subscribe(topic, {
      onEntry: () => {
        throw new Error('a listener broke');
      },
      onReset: () => undefined,
    });
    const second: LogEntry[] = [];
    follower.firehose.subscribe(topic, { onEntry: (entry) => second.push(entry), onReset: () => undefined });
    await log.publish(numbered(3));
    await until('all entries', () => follower.entries.length === 3 && second.length === 3);
  });
});

describe('progress', () => {
  const stateOf = (succeeded: number): Progress => ({
    counts: { total: 1_000, pending: 1_000 - succeeded, running: 0, succeeded, failed: 0, cancelled: 0 },
    rate_per_second: null,
    eta_seconds: null,
  });

  const publisher = (
    read: () => Promise<Progress>,
    lost: unknown[] = [],
    timing: { intervalMs?: number; turnMs?: number } = {},
  ) =>
    createProgressPublisher({
      redis,
      prefix,
      realtime: log,
      read,
      onLost: (error) => lost.push(error),
      ...timing,
    });

  const succeeded = ({ payload }: LogEntry): number =>
    (JSON.parse(payload) as { data: Progress }).data.counts.succeeded;

  test('two workers that move fast publish few, and the last state is always among them', async () => {
    const cursor = await log.cursor(topic);
    let done = 0;
    const workers = [
      publisher(async () => stateOf(done), [], { intervalMs: 400 }),
      publisher(async () => stateOf(done), [], { intervalMs: 400 }),
    ];
    const ref = { tenantId: newId('tenant'), jobId };
    for (let i = 0; i < 500; i++) {
      done++;
      workers[i % 2]?.touch(ref);
    }
    await Promise.all(workers.map((worker) => worker.flush(ref)));
    const entries = await replayAll(cursor);
    expect(succeeded(entries.at(-1) as LogEntry)).toBe(500);
    // One at once; what waited for the gate gives way to the last of each worker.
    expect(entries.length).toBeLessThanOrEqual(4);
  });

  test('over a second, all workers together publish at most three, and the last one', async () => {
    const cursor = await log.cursor(topic);
    let done = 0;
    const workers = Array.from({ length: 3 }, () => publisher(async () => stateOf(done)));
    const ref = { tenantId: newId('tenant'), jobId };
    const startedAt = Date.now();
    while (Date.now() - startedAt < 1_500) {
      done++;
      for (const worker of workers) worker.touch(ref);
      await setImmediate();
    }
    await workers[0]?.flush(ref);
    await Promise.all(workers.map((worker) => worker.close()));
    const atMs = (await replayAll(cursor)).map(({ id }) => Number(id) / 1_000);
    for (const from of atMs) {
      expect(atMs.filter((at) => at >= from && at < from + 999).length).toBeLessThanOrEqual(4);
    }
    expect(atMs.length).toBeGreaterThan(2);
  });

  test('publications keep their distance however long each takes to read, and none is older than the one before', async () => {
    const cursor = await log.cursor(topic);
    const intervalMs = 40;
    let done = 0;
    let reads = 0;
    const read = async () => {
      const state = stateOf(done);
      // From at once to twice the interval.
      await setTimeout((reads++ % 5) * 20);
      return state;
    };
    const workers = Array.from({ length: 3 }, () => publisher(read, [], { intervalMs }));
    const ref = { tenantId: newId('tenant'), jobId };
    let published = 0;
    await until('some publications', async () => {
      done++;
      for (const worker of workers) worker.touch(ref);
      published = await redis.xlen(`${prefix}realtime:log:${topic}`);
      return published > 15;
    });
    await Promise.all(workers.map((worker) => worker.close()));
    const entries = await replayAll(cursor);
    const ids = entries.map(({ id }) => id);
    const nearest = Math.min(...ids.slice(1).map((id, i) => id - (ids[i] ?? 0)));
    // Redis counts whole milliseconds.
    expect(nearest).toBeGreaterThan((intervalMs - 1) * 1_000);
    const states = entries.map(succeeded);
    expect(states).toEqual([...states].sort((a, b) => a - b));
    expect(states.at(-1)).toBe(done);
  });

  test('what another worker was about to publish does not come after the last one', async () => {
    const cursor = await log.cursor(topic);
    const reading = deferred();
    const mayAnswer = deferred();
    const slow = publisher(async () => {
      reading.resolve();
      await mayAnswer.promise;
      return stateOf(1);
    });
    const ref = { tenantId: newId('tenant'), jobId };
    slow.touch(ref);
    await reading.promise;
    await publisher(async () => stateOf(2)).flush(ref);
    mayAnswer.resolve();
    await slow.close();
    expect((await replayAll(cursor)).map(succeeded)).toEqual([2]);
  });

  test('a worker that dies in its turn holds the others up for as long as a turn may last, and no longer', async () => {
    const cursor = await log.cursor(topic);
    const reading = deferred();
    const timing = { intervalMs: 20, turnMs: 300 };
    const dead = publisher(
      () => {
        reading.resolve();
        return new Promise(() => undefined);
      },
      [],
      timing,
    );
    const ref = { tenantId: newId('tenant'), jobId };
    dead.touch(ref);
    await reading.promise;
    const alive = publisher(async () => stateOf(3), [], timing);
    alive.touch(ref);
    // It waits for the turn to end, which is no other's turn.
    await alive.close();
    expect((await replayAll(cursor)).map(succeeded)).toEqual([3]);
  });

  test('a state that could not be read gives its turn up', async () => {
    const cursor = await log.cursor(topic);
    const ref = { tenantId: newId('tenant'), jobId };
    const lost: unknown[] = [];
    const timing = { intervalMs: 20, turnMs: 3_600_000 };
    const unreadable = publisher(() => Promise.reject(new Error('PostgreSQL is away')), lost, timing);
    unreadable.touch(ref);
    await unreadable.close();
    expect(lost).toHaveLength(1);
    const worker = publisher(async () => stateOf(4), lost, timing);
    worker.touch(ref);
    await worker.close();
    expect((await replayAll(cursor)).map(succeeded)).toEqual([4]);
  });

  test('what moves while a publication is under way is published after it, without another touch', async () => {
    const cursor = await log.cursor(topic);
    const reading = deferred();
    const mayAnswer = deferred();
    let done = 1;
    const worker = publisher(
      async () => {
        const state = stateOf(done);
        reading.resolve();
        await mayAnswer.promise;
        return state;
      },
      [],
      { intervalMs: 20 },
    );
    const ref = { tenantId: newId('tenant'), jobId };
    worker.touch(ref);
    await reading.promise;
    done = 2;
    worker.touch(ref);
    mayAnswer.resolve();
    await worker.close();
    expect((await replayAll(cursor)).map(succeeded)).toEqual([1, 2]);
  });

  test('a state that cannot be read, or a Redis that is away, costs the entry and nothing else', async () => {
    const lost: unknown[] = [];
    const ref = { tenantId: newId('tenant'), jobId };
    const unreadable = publisher(() => Promise.reject(new Error('PostgreSQL is away')), lost);
    await unreadable.flush(ref);
    expect(lost).toEqual([new Error('PostgreSQL is away')]);
    const worker = publisher(async () => stateOf(7), lost, { intervalMs: 20 });
    await ownRedis.kill();
    worker.touch(ref);
    await worker.flush(ref);
    expect(lost.length).toBeGreaterThanOrEqual(2);
    await ownRedis.start();
    await until('the connection', () => redis.status === 'ready');
    const cursor = await log.cursor(topic);
    await worker.flush(ref);
    expect((await replayAll(cursor)).map(succeeded)).toEqual([7]);
  });
});
