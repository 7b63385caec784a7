/**
 * Counts in Redis, by rate-limiter-flexible with a script of our own in its place for one (`customIncrTtlLuaScript`).
 * The library's script adds and then looks, so that what was refused has been counted all the same, and has to be given back
 * while others already see it. Ours gives what is left, up to what is asked for, and the count never passes the quota. It
 * answers the count as if all that was asked for had been given: then the library refuses, and what was given follows.
 */
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Taken } from '../../domain/limit/account';
import type { Counted, CountWindow } from './points';

/** Limiters differ by policy and quota, and hold nothing: more than that are only made anew. */
const LIMITERS_KEPT = 1_000;
/** A day's key outlives it: clocks of processes differ. */
const CALENDAR_GRACE_SECONDS = 60;

/**
 * ARGV: points, seconds, quota. Negative points are handed back, and only into the window they were taken from: one that began
 * later would have more time left than `seconds`.
 */
const TAKE_OR_HAND_BACK = `
local asked = tonumber(ARGV[1])
local used = tonumber(redis.call('get', KEYS[1]) or '0')
local ttl = redis.call('pttl', KEYS[1])
if asked < 0 then
  if ttl > 0 and ttl <= tonumber(ARGV[2]) * 1000 then
    used = redis.call('decrby', KEYS[1], string.format('%.0f', math.min(-asked, used)))
  end
  return {used, math.max(ttl, 0)}
end
local given = math.min(asked, math.max(0, tonumber(ARGV[3]) - used))
if given > 0 then
  redis.call('incrby', KEYS[1], string.format('%.0f', given))
  if ttl < 0 then
    redis.call('expire', KEYS[1], ARGV[2])
    ttl = 1000 * tonumber(ARGV[2])
  end
end
return {used + asked, math.max(ttl, 0)}`;

export interface RedisPoints {
  /** Rejects where Redis is away, or slower than the connection allows. */
  take(window: CountWindow, wanted: number): Promise<Taken>;
  /** @param leftMs of the window they were taken from */
  handBack(window: CountWindow, points: number, leftMs: number): Promise<void>;
  /** undefined: no window has begun */
  look(window: CountWindow): Promise<Counted | undefined>;
  /**
   * Whether Redis counts: by a write, since one that is out of memory, a replica, or can't save its data answers a ping all the
   * same. Never rejects.
   */
  writes(): Promise<boolean>;
}

const PROBE_LASTS_MS = 1_000;

export function createRedisPoints({ redis, prefix }: { redis: Redis; prefix: string }): RedisPoints {
  const limiters = new LRUCache<string, RateLimiterRedis>({ max: LIMITERS_KEPT });
  const limiterFor = ({ policy, quota }: CountWindow): RateLimiterRedis => {
    const name = `${policy}:${quota}`;
    const known = limiters.get(name);
    if (known !== undefined) return known;
    const made = new RateLimiterRedis({
      storeClient: redis,
      // The quota is no part of the key: when it changes, what was counted stays.
      keyPrefix: `${prefix}limit:${policy}`,
      points: quota,
      duration: 1,
      rejectIfRedisNotReady: true,
      customIncrTtlLuaScript: TAKE_OR_HAND_BACK,
    });
    limiters.set(name, made);
    return made;
  };
  const endOf = (window: CountWindow, ttlMs: number): number => (window.calendar ? window.lastsMs : ttlMs);
  return {
    take: async (window, wanted) => {
      const customDuration = secondsOf(window, window.lastsMs);
      const asked = await answerOf(limiterFor(window).consume(window.key, wanted, { customDuration }));
      const short = Math.max(0, asked.consumedPoints - window.quota);
      const given = Math.max(0, wanted - short);
      return {
        given,
        remaining: Math.max(0, window.quota - (asked.consumedPoints - wanted + given)),
        endsInMs: endOf(window, asked.msBeforeNext),
        ceiling: window.quota,
        insured: false,
      };
    },
    handBack: async (window, points, leftMs) => {
      const customDuration = secondsOf(window, leftMs) + 1;
      await limiterFor(window).reward(window.key, points, { customDuration });
    },
    look: async (window) => {
      const seen = await limiterFor(window).get(window.key);
      if (seen === null) return undefined;
      return { used: seen.consumedPoints, endsInMs: endOf(window, seen.msBeforeNext) };
    },
    writes: () =>
      redis.set(`${prefix}limit:probe`, '', 'PX', PROBE_LASTS_MS).then(
        () => true,
        () => false,
      ),
  };
}

function secondsOf({ calendar }: CountWindow, ms: number): number {
  return Math.ceil(ms / 1000) + (calendar ? CALENDAR_GRACE_SECONDS : 0);
}

/** The library rejects with its answer where points are short, and with an error where Redis is. */
async function answerOf(consuming: Promise<RateLimiterRes>): Promise<RateLimiterRes> {
  try {
    return await consuming;
  } catch (thrown) {
    if (thrown instanceof RateLimiterRes) return thrown;
    throw thrown;
  }
}
