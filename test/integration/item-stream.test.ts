import type { Redis } from 'ioredis';
import type { EndedItem } from '../../src/domain/realtime/publication';
import { FLEETING, type LogEntry } from '../../src/domain/realtime/topic-log';
import { decodeId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { readItemNames } from '../../src/platform/postgres/item-names';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { createBlockingRedis, whenReady } from '../../src/platform/redis/client';
import { createFirehose, type Firehose } from '../../src/platform/redis/firehose';
import { createItemPublisher, type Ended, type ItemPublisher } from '../../src/platform/redis/item-publisher';
import { createItemWatch, itemKeys, type ItemWatch } from '../../src/platform/redis/item-watch';
import { createRealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { until } from '../support/wait';
import {
  connectRedis,
  insertJob,
  insertTenant,
  openDatabase,
  type OwnRedis,
  silent,
  startOwnRedis,
  type TestJob,
} from './realtime-support';

let testDatabase: TestDatabase;
let ownRedis: OwnRedis;
let db: PostgresDatabase;
let redis: Redis;
let prefix: string;
let watch: ItemWatch;
let feed: Firehose;
let lost: unknown[];
const publishers: ItemPublisher[] = [];

beforeAll(async () => {
  testDatabase = await createTestDatabase();
  ownRedis = await startOwnRedis();
  db = openDatabase(testDatabase.url);
  redis = connectRedis(ownRedis.url);
  await whenReady(redis, 10_000);
});

beforeEach(async () => {
  prefix = `${newId('request')}:`;
  lost = [];
  watch = createItemWatch({ redis, prefix, refreshMs: 20 });
  const blocking = createBlockingRedis({
    url: ownRedis.url,
    name: 'test',
    onDown: () => undefined,
    onUp: () => undefined,
  });
  feed = createFirehose({ redis: blocking, prefix, log: silent });
  await feed.ready();
});

afterEach(async () => {
  watch.stop();
  await Promise.all(publishers.splice(0).map((publisher) => publisher.close()));
  await feed.stop();
});

afterAll(async () => {
  await db.close();
  redis.disconnect();
  await ownRedis.remove();
  await testDatabase.drop();
});

interface Asked {
  indexes: number[][];
}

/** @param asked which items' names were read */
function publisher(asked: Asked = { indexes: [] }): ItemPublisher {
  const made = createItemPublisher({
    redis,
    prefix,
    realtime: createRealtimeLog({ redis, prefix, onRefused: () => undefined }),
    customIds: (ref, indexes) => {
      asked.indexes.push([...indexes]);
      return readItemNames(db, ref, indexes);
    },
    onLost: (error) => lost.push(error),
    unwatchedMs: 20,
  });
  publishers.push(made);
  return made;
}

const INSERT_ITEMS = statement(
  'test.insert_items',
  `insert into items (job_id, upload, index, custom_id, input) select $1, 0, n, nullif('item ' || n, 'item 1'), '0'
   from generate_series(0, $2 - 1) n`,
);

async function jobOf(items: number): Promise<TestJob> {
  const job = await insertJob(db, await insertTenant(db));
  await db.run(INSERT_ITEMS, [decodeId('job', job.jobId), items]);
  return job;
}

function follow(job: TestJob): LogEntry[] {
  const entries: LogEntry[] = [];
  feed.subscribe(`job:${job.jobId}`, {
    onEntry: (entry) => void entries.push(entry),
    onReset: () => undefined,
  });
  return entries;
}

const itemIn = ({ payload }: LogEntry): EndedItem => (JSON.parse(payload) as { data: EndedItem }).data;

const ended = (from: number, to: number): Ended[] =>
  Array.from({ length: to - from }, (_, n) => ({
    index: from + n,
    status: n % 2 === 0 ? 'succeeded' : 'failed',
  }));

const watched = (job: TestJob): Promise<unknown> =>
  until('the watch', async () => (await redis.exists(itemKeys(prefix, job.jobId).watch)) === 1);

test('what ends while somebody follows is told with its name, in order, live only', async () => {
  const job = await jobOf(4);
  const entries = follow(job);
  watch.watch(job.jobId);
  await watched(job);
  const telling = publisher();
  telling.ended(job, ended(0, 2));
  telling.ended(job, ended(2, 4));
  await until('four items', () => entries.length === 4);
  expect(entries.map(itemIn)).toEqual([
    { job_id: job.jobId, index: 0, custom_id: 'item 0', status: 'succeeded', skipped: 0 },
    { job_id: job.jobId, index: 1, custom_id: '1', status: 'failed', skipped: 0 },
    { job_id: job.jobId, index: 2, custom_id: 'item 2', status: 'succeeded', skipped: 0 },
    { job_id: job.jobId, index: 3, custom_id: 'item 3', status: 'failed', skipped: 0 },
  ]);
  expect(entries.map(({ id, type }) => [id, type])).toEqual(Array(4).fill([FLEETING, 'job.item']));
  expect(await redis.exists(realtimeKeys(prefix).log(`job:${job.jobId}`))).toBe(0);
  expect(lost).toEqual([]);
});

test('of a job that nobody follows nothing is told, nor are names read', async () => {
  const [job, other] = [await jobOf(2), await jobOf(2)];
  const [entries, others] = [follow(job), follow(other)];
  const stop = watch.watch(job.jobId);
  watch.watch(other.jobId);
  await Promise.all([watched(job), watched(other)]);
  stop();
  await redis.del(itemKeys(prefix, job.jobId).watch);
  const asked: Asked = { indexes: [] };
  const telling = publisher(asked);
  telling.ended(job, ended(0, 2));
  telling.ended(other, ended(0, 2));
  await until('the followed one', () => others.length === 2);
  await telling.close();
  expect(entries).toEqual([]);
  expect(asked.indexes).toEqual([[0, 1]]);
});

test('over all workers a job tells of 100 items a second, and of the rest how many there were', async () => {
  const job = await jobOf(3_000);
  const entries = follow(job);
  watch.watch(job.jobId);
  await watched(job);
  const [one, other] = [publisher(), publisher()];
  const begun = await second();
  one.ended(job, ended(0, 1_000));
  other.ended(job, ended(1_000, 2_000));
  await until('the first', () => entries.length > 0);
  // One by one, until a second has begun in which there is room again.
  let count = 2_000;
  await until('one of a later second', () => {
    if (entries.some((entry) => itemIn(entry).index >= 2_000)) return true;
    one.ended(job, ended(count, ++count));
    return false;
  });
  await one.close();
  await other.close();
  const seconds = (await second()) - begun + 1;
  const told = entries.map(itemIn);
  expect(told.length).toBeLessThanOrEqual(100 * seconds);
  expect(told.length).toBeGreaterThanOrEqual(101);
  const skipped = told.reduce((sum, item) => sum + item.skipped, 0);
  const last = Math.max(...told.map(({ index }) => index));
  expect(told.length + skipped).toBe(last + 1);
});

const second = async (): Promise<number> => Number((await redis.time())[0]);

test('a watch that Redis has forgotten is there again, until nobody follows', async () => {
  const job = await jobOf(1);
  const { watch: key } = itemKeys(prefix, job.jobId);
  const [first, second] = [watch.watch(job.jobId), watch.watch(job.jobId)];
  await watched(job);
  await redis.del(key);
  await watched(job);
  first();
  first();
  await redis.del(key);
  await watched(job);
  second();
  // What was under way when the last one left is older than what another job's watch says.
  const later = await jobOf(1);
  watch.watch(later.jobId);
  await watched(later);
  await redis.del(key);
  await redis.del(itemKeys(prefix, later.jobId).watch);
  await watched(later);
  expect(await redis.exists(key)).toBe(0);
});
