/** The limiter of one API process, on the Redis it is given. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { KnownKey } from '../../src/api/access/ports';
import type { Crew } from '../../src/domain/limit/lease';
import { createRedis, whenReady } from '../../src/platform/redis/client';
import { createFailureLimit, type FailureLimit } from '../../src/platform/redis/failure-limit';
import { createInsuredPoints } from '../../src/platform/redis/insured-points';
import { createMemoryPoints } from '../../src/platform/redis/memory-points';
import { createRateLimits, type RateLimits } from '../../src/platform/redis/rate-limits';
import { createRedisPoints } from '../../src/platform/redis/redis-points';
import { knownKey, NO_LIMITS } from './principal';

export interface TestLimiter extends RateLimits {
  redis: Redis;
  failures: FailureLimit;
  /** calls to Redis that took points */
  readonly calls: number;
  readonly isAway: boolean;
}

export interface LimiterWish {
  url: string;
  prefix: string;
  crew?: Crew;
  failuresPerMinute?: number;
  accountsMax?: number;
  /** added to the time of day */
  shiftMs?: () => number;
}

export async function startLimiter(wish: LimiterWish): Promise<TestLimiter> {
  const { crew = { processes: 2, rank: 0 }, failuresPerMinute = 5, shiftMs = () => 0 } = wish;
  const nothing = (): void => undefined;
  const redis = createRedis({
    url: wish.url,
    name: randomUUID(),
    commandTimeoutMs: 200,
    onDown: nothing,
    onUp: nothing,
  });
  const points = createRedisPoints({ redis, prefix: wish.prefix });
  let calls = 0;
  let isAway = false;
  const insured = createInsuredPoints({
    redis,
    points: {
      ...points,
      take: (window, wanted) => {
        calls++;
        return points.take(window, wanted);
      },
    },
    insurance: createMemoryPoints({ crew: () => crew }),
    onAway: () => (isAway = true),
    onBack: () => (isAway = false),
  });
  const ticks = (): number => performance.now();
  const limits = createRateLimits({
    points: insured,
    processes: () => crew.processes,
    clock: { epochMs: () => Date.now() + shiftMs(), ticks },
    ...(wish.accountsMax !== undefined && { accountsMax: wish.accountsMax }),
  });
  await whenReady(redis, 5_000);
  return {
    ...limits,
    redis,
    failures: createFailureLimit({ points: insured, perMinute: failuresPerMinute, ticks }),
    get calls() {
      return calls;
    },
    get isAway() {
      return isAway;
    },
    close: async () => {
      await limits.close();
      insured.close();
      redis.disconnect();
    },
  };
}

/** A key of a tenant with these limits. */
export function limitedKey(
  { minute = null, day = null }: { minute?: number | null; day?: number | null },
  change: Partial<KnownKey> = {},
): KnownKey {
  const limits = { ...NO_LIMITS, requestsPerMinute: minute, requestsPerDay: day };
  return knownKey({ plan: { name: 'test', limits }, ...change });
}
