import { Redis } from 'ioredis';
import {
  createJob,
  expectOneResultEach,
  expectSums,
  numbered,
  succeededOf,
  SUMS,
} from '../support/job-client';
import {
  type OwnServer,
  type OwnTemporal,
  startOwnPostgres,
  startOwnRedis,
  startOwnTemporal,
} from '../support/own-servers';
import { startSupervised, type SupervisedProduct } from '../support/supervisor';
import { followJob } from '../support/subscriber';
import { until } from '../support/wait';

const ITEMS = 3_000;

describe('a job outlives each of its servers', () => {
  let postgres: OwnServer & { url: string };
  let redis: OwnServer & { url: string };
  let temporal: OwnTemporal;
  let supervised: SupervisedProduct;

  beforeAll(async () => {
    [postgres, redis, temporal] = await Promise.all([
      startOwnPostgres(),
      startOwnRedis(),
      startOwnTemporal(),
    ]);
    supervised = await startSupervised({
      databaseUrl: postgres.url,
      redisUrl: redis.url,
      temporalAddress: temporal.address,
      namespace: 'default',
    });
  });
  afterAll(async () => {
    await supervised.close();
    await Promise.all([postgres, redis, temporal].map((server) => server.remove()));
  });

  /** @returns the id of a job that is under way */
  const running = async (): Promise<string> => {
    const { product } = supervised;
    const { id } = await createJob(product, {
      handler: 'tick',
      items: numbered(ITEMS, { ms: 100 }),
      reduce: SUMS,
    });
    await succeededOf(product, id, 100);
    return id;
  };
  const expectAll = async (id: string): Promise<void> => {
    await expectOneResultEach(supervised.product, id, { total: ITEMS });
    await expectSums(supervised.product, id, ITEMS);
  };

  test.each([
    ['stopped at once, its clients cut off', 'SIGQUIT'],
    ['killed', 'SIGKILL'],
  ] as const)('PostgreSQL %s and started again: every item has one result', async (_how, signal) => {
    const id = await running();
    await postgres.end(signal);
    await postgres.start();
    await expectAll(id);
  });

  test('Redis flushed, killed and started again: every item has one result, and a subscriber sees it through to the end', async () => {
    const { product } = supervised;
    const id = await running();
    const subscriber = followJob(product, id);
    await until('progress', () => subscriber.seen.some(({ event }) => event === 'progress'));
    await flush(redis.url);
    const atFlush = subscriber.seen.length;
    await until('a new snapshot', () =>
      subscriber.seen.slice(atFlush).some(({ event }) => event === 'snapshot'),
    );
    await redis.end();
    await redis.start();
    await expectAll(id);
    await until('done', () => subscriber.seen.at(-1)?.event === 'done');
    expect(subscriber.seen.at(-1)?.data).toMatchObject({ status: 'completed', counts: { succeeded: ITEMS } });
    subscriber.close();
  });

  test('the Temporal server killed and started again: every item has one result', async () => {
    const id = await running();
    await temporal.end();
    await temporal.start();
    await expectAll(id);
  });

  test('everything killed at once and started again: every item has one result', async () => {
    const id = await running();
    await Promise.all([postgres.end(), redis.end(), temporal.end(), supervised.supervisor.kill()]);
    await Promise.all([postgres.start(), redis.start(), temporal.start()]);
    await expectAll(id);
  });
});

async function flush(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushall();
  redis.disconnect();
}
