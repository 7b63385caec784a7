/** Limits on requests in one API process, and its place among the others. */
import { randomUUID } from 'node:crypto';
import type { FailureLimit } from '../api/access/ports';
import type { RequestLimiter } from '../api/limits/ports';
import type { Crew } from '../domain/limit/lease';
import type { ApiConfig } from '../platform/config';
import { createInstanceStore } from '../platform/postgres/instance-store';
import { createRedis, whenReady } from '../platform/redis/client';
import { createFailureLimit } from '../platform/redis/failure-limit';
import { createInsuredPoints, type InsuredPoints } from '../platform/redis/insured-points';
import { createMemoryPoints } from '../platform/redis/memory-points';
import { createRateLimits } from '../platform/redis/rate-limits';
import { createRedisPoints } from '../platform/redis/redis-points';
import { startLoop } from '../workers/loop';
import type { Common, Setting } from './parts';

const BEAT_MS = 5_000;
/** Three beats: who was silent for so long is not counted. */
const LIVE_WITHIN_SECONDS = 15;
const PRUNE_EVERY_BEATS = 60;
/** A request waits no longer than that for Redis, and none waits again for a second. */
const COMMAND_TIMEOUT_MS = 200;
/** The first requests should not find a connection in the making. */
const CONNECT_WAIT_MS = 500;

export interface Limits {
  /** uuid of this process, in the table `instances` */
  instanceId: string;
  /** the API processes that live */
  crew(): Crew;
  limiter: RequestLimiter;
  failures: FailureLimit;
}

const ticks = (): number => performance.now();

/** What is opened later, and may still be asked for points or write into the row of this process, is closed before. */
export async function openLimits(
  setting: Setting<ApiConfig>,
  common: Pick<Common, 'database'>,
): Promise<Limits> {
  const { config, lifecycle } = setting;
  const { instanceId, crew } = openCrew(setting, common);
  const points = await openPoints(setting, crew);
  const limiter = createRateLimits({
    points,
    processes: () => crew().processes,
    clock: { epochMs: Date.now, ticks },
  });
  lifecycle.onClose('rate limits', () => limiter.close());
  const failures = createFailureLimit({ points, perMinute: config.authFailuresPerMinute, ticks });
  return { instanceId, crew, limiter, failures };
}

/** Says that this process lives, and hears who else does. */
function openCrew(
  { config, log, lifecycle }: Setting<ApiConfig>,
  { database }: Pick<Common, 'database'>,
): { instanceId: string; crew: () => Crew } {
  const store = createInstanceStore(database);
  const instance = { id: randomUUID(), role: config.role };
  let crew: Crew = { processes: 1, rank: 0 };
  let beats = 0;
  const step = async (): Promise<void> => {
    const before = crew.processes;
    crew = await store.beat(instance, LIVE_WITHIN_SECONDS);
    if (crew.processes !== before) log.info({ processes: crew.processes }, 'live API processes');
    if (beats++ % PRUNE_EVERY_BEATS === 0) await store.prune(config.role);
  };
  const onError = (err: unknown): void => log.warn({ err }, 'live API processes are not known for now');
  const beating = startLoop({ intervalMs: BEAT_MS, step, onError });
  lifecycle.onClose('instance', async () => {
    await beating.stop();
    await store.remove(instance.id);
  });
  return { instanceId: instance.id, crew: () => crew };
}

/** On a connection of their own: a slow command of another part must not hold requests up. */
async function openPoints(
  { config, log, lifecycle }: Setting<ApiConfig>,
  crew: () => Crew,
): Promise<InsuredPoints> {
  const redis = createRedis({
    url: config.redisUrl,
    name: 'millrace-api-limits',
    commandTimeoutMs: COMMAND_TIMEOUT_MS,
    onDown: (err) => log.warn({ err }, 'redis for limits is away'),
    onUp: () => log.info('redis for limits is back'),
  });
  const points = createInsuredPoints({
    redis,
    points: createRedisPoints({ redis, prefix: config.redisPrefix }),
    insurance: createMemoryPoints({ crew }),
    onAway: (err) => log.warn({ err }, 'limits are counted in this process'),
    onBack: () => log.info('limits are counted in redis again'),
  });
  lifecycle.onClose('redis for limits', () => {
    points.close();
    redis.disconnect();
  });
  await whenReady(redis, CONNECT_WAIT_MS);
  return points;
}
