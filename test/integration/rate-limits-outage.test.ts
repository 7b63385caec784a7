import { limitedKey, startLimiter } from '../support/limiter';
import { type OwnServer, startOwnRedis } from '../support/own-servers';
import { knowEachOther, startTwinApis, statusesOf, type TwinApis } from '../support/twin-apis';
import { call, type TestApi } from '../support/api';
import { until } from '../support/wait';

/** Of each minute; with two processes each may give out half of it on its own. */
const MINUTE = 600;

describe('limits while Redis is away', () => {
  let redis: OwnServer & { url: string };
  let twins: TwinApis;

  beforeAll(async () => {
    redis = await startOwnRedis();
    twins = await startTwinApis({ REDIS_URL: redis.url });
    await knowEachOther(twins);
  });
  afterAll(async () => {
    await twins.close();
    await redis.remove();
  });

  const countOf = async (tenantId: string): Promise<number> =>
    Number(await twins.redis.get(`${twins.prefix}limit:minute:${tenantId}`));
  const pidOfRedis = async (): Promise<number> =>
    Number(/process_id:(\d+)/.exec(await twins.redis.info('server'))?.[1]);
  const unwanted = (statuses: Record<number, number>): number =>
    Object.entries(statuses).reduce((sum, [status, n]) => (/^(200|429)$/.test(status) ? sum : sum + n), 0);
  /** A request moves the count in Redis again, on each process. */
  const isCountedAgain = async (): Promise<void> => {
    for (const api of twins.apis) {
      const { id, key } = await twins.tenantWith({ minute: MINUTE });
      await until('requests to be counted in Redis again', async () => {
        await call(api, '/v1/handlers', { key });
        return (await countOf(id)) > 0;
      });
    }
  };

  test('frozen: nobody waits or fails, and no more passes than the limit in all; it comes back by itself', async () => {
    const { id, key } = await twins.tenantWith({ minute: MINUTE });
    for (const api of twins.apis) expect(await statusesOf(api, key, 50)).toEqual({ 200: 50 });
    const pid = await pidOfRedis();
    process.kill(pid, 'SIGSTOP');
    try {
      const both = await Promise.all(twins.apis.map((api) => statusesOf(api, key, 400)));
      // Half of it each, less the fifty that each let through before.
      expect(both).toEqual([
        { 200: 250, 429: 150 },
        { 200: 250, 429: 150 },
      ]);
      const refused = await call(twins.apis[0], '/v1/handlers', { key });
      expect(refused.body['violated-policies']).toEqual(['minute']);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await isCountedAgain();
    // The first request of each tells Redis of what was let through without it.
    for (const [i, api] of twins.apis.entries()) {
      await until('Redis to know', async () => {
        await statusesOf(api, key, 1);
        return (await countOf(id)) >= 350 + 250 * i;
      });
    }
    for (const api of twins.apis) expect(await statusesOf(api, key, 20)).toEqual({ 429: 20 });
  });

  test('frozen: it is known after one call, and nobody else waits for it', async () => {
    const limiter = await startLimiter({ url: redis.url, prefix: `${twins.prefix}alone:` });
    const pid = await pidOfRedis();
    process.kill(pid, 'SIGSTOP');
    try {
      for (let i = 0; i < 200; i++) {
        const verdict = await limiter.spend(limitedKey({ minute: 10, day: 1_000 }), 1);
        expect(verdict.refusedBy).toBeUndefined();
      }
      expect(limiter.calls).toBe(1);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it to be back', () => !limiter.isAway);
    await limiter.spend(limitedKey({ minute: 10 }), 1);
    expect(limiter.calls).toBe(2);
    await limiter.close();
  });

  test.each([
    ['is out of memory', 'OOM', ['CONFIG', 'SET', 'maxmemory', '1mb'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['is a replica', 'READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ])(
    'one that answers but %s is away until it counts, and is not tried by requests meanwhile',
    async (_what, error, refuse, accept) => {
      const limiter = await startLimiter({ url: redis.url, prefix: `${twins.prefix}${error}:` });
      const tell = ([command = '', ...args]: string[]) => twins.redis.call(command, ...args);
      const refusals = async (): Promise<number> => {
        const found = new RegExp(`errorstat_${error}:count=(\\d+)`).exec(
          await twins.redis.info('errorstats'),
        );
        return Number(found?.[1] ?? 0);
      };
      const before = await refusals();
      expect(await tell(refuse)).toBe('OK');
      try {
        await until('some tries', async () => {
          expect((await limiter.spend(limitedKey({ minute: 900 }), 1)).refusedBy).toBeUndefined();
          return (await refusals()) >= before + 4;
        });
        expect([limiter.calls, limiter.isAway]).toEqual([1, true]);
      } finally {
        await tell(accept);
      }
      await until('it to be back', () => !limiter.isAway);
      await limiter.spend(limitedKey({ minute: 900 }), 1);
      expect([limiter.calls, limiter.isAway]).toEqual([2, false]);
      await limiter.close();
    },
  );

  test('killed and started again under load: every answer is a 200 or a 429', async () => {
    const { key } = await twins.tenantWith({ minute: MINUTE });
    let isOver = false;
    const load = async (api: TestApi): Promise<Record<number, number>> => {
      const seen: Record<number, number> = {};
      while (!isOver) {
        for (const [status, n] of Object.entries(await statusesOf(api, key, 20))) {
          seen[Number(status)] = (seen[Number(status)] ?? 0) + n;
        }
      }
      return seen;
    };
    const loads = Promise.all(twins.apis.map(load));
    const asked = (n: number) =>
      until('some load', async () => (await statusesOf(twins.apis[0], key, n)) !== null);
    await asked(20);
    await redis.end();
    await asked(100);
    const away = await twins.tenantWith({ minute: 30 });
    const inAll = await Promise.all(twins.apis.map((api) => statusesOf(api, away.key, 40)));
    expect(inAll).toEqual([
      { 200: 15, 429: 25 },
      { 200: 15, 429: 25 },
    ]);
    await redis.start();
    await isCountedAgain();
    isOver = true;
    for (const seen of await loads) {
      expect(unwanted(seen)).toBe(0);
      expect(seen[200]).toBeGreaterThan(0);
    }
  });

  test('keys that are not accepted are limited all the same', async () => {
    const alone = await startTwinApis({ REDIS_URL: redis.url, MILLRACE_AUTH_FAILURES_PER_MINUTE: '8' });
    try {
      await knowEachOther(alone);
      await redis.end();
      expect(await statusesOf(alone.apis[0], 'mrk_wrong', 6)).toEqual({ 401: 4, 429: 2 });
    } finally {
      await redis.start();
      await alone.close();
    }
  });
});
