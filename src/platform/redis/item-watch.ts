/**
 * Which jobs' items are followed: a key per job in Redis, which the processes that have such followers keep alive. Workers look
 * at it and say nothing of other jobs' items. A process that dies is forgotten after the key's time.
 */
import type { Redis } from 'ioredis';
import { script } from './script';

export function itemKeys(prefix: string, jobId: string) {
  return { watch: `${prefix}realtime:items:watch:${jobId}`, told: `${prefix}realtime:items:told:${jobId}` };
}

const TTL_MS = 15_000;
const REFRESH_MS = 5_000;

export interface ItemWatch {
  /** @returns how to stop watching */
  watch(jobId: string): () => void;
  stop(): void;
}

export interface ItemWatchOptions {
  redis: Redis;
  prefix: string;
  refreshMs?: number;
}

export function createItemWatch({ redis, prefix, refreshMs = REFRESH_MS }: ItemWatchOptions): ItemWatch {
  const watched = new Map<string, number>();
  let timer: NodeJS.Timeout | undefined;

  const keepAlive = (jobIds: Iterable<string>): void => {
    const pipeline = redis.pipeline();
    for (const jobId of jobIds) pipeline.set(itemKeys(prefix, jobId).watch, '1', 'PX', TTL_MS);
    // Where Redis is away, so are the workers' words; the next turn says it again.
    pipeline.exec().catch(() => undefined);
  };
  const unwatch = (jobId: string): void => {
    const left = (watched.get(jobId) ?? 0) - 1;
    if (left > 0) watched.set(jobId, left);
    else watched.delete(jobId);
    if (watched.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };

  return {
    watch(jobId) {
      watched.set(jobId, (watched.get(jobId) ?? 0) + 1);
      keepAlive([jobId]);
      timer ??= setInterval(() => keepAlive(watched.keys()), refreshMs);
      let done = false;
      return () => {
        if (!done) unwatch(jobId);
        done = true;
      };
    },
    stop: () => clearInterval(timer),
  };
}

/**
 * KEYS: watch, told. ARGV: items that could be told of, further ones that ended, items a second.
 * Returns how many may be told of now, and how many were not told of before them; nil if nobody follows.
 */
export const takeItemsScript = script<[told: number, skipped: number] | null>(`
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local second = redis.call('TIME')[1]
local last = redis.call('HMGET', KEYS[2], 'second', 'used', 'skipped')
local used = last[1] == second and tonumber(last[2]) or 0
local skipped = tonumber(last[3] or '0')
local told = math.min(tonumber(ARGV[1]), math.max(0, ARGV[3] - used))
local rest = ARGV[1] + ARGV[2] - told
redis.call('HSET', KEYS[2], 'second', second, 'used', used + told, 'skipped', told > 0 and rest or skipped + rest)
redis.call('EXPIRE', KEYS[2], 60)
return { told, told > 0 and skipped or 0 }
`);
