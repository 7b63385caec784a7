/**
 * Counts in Redis, and in this process while Redis is away, frozen or slow.
 *
 *   there -> away    a call fails or takes too long: it and all that follow are answered from memory
 *   away -> there    Redis takes a write: tried once a second, and at once when the connection is back
 *
 * No request waits while Redis is away, but for those that were under way when it went.
 */
import type { Redis } from 'ioredis';
import type { Taken } from '../../domain/limit/account';
import type { MemoryPoints } from './memory-points';
import type { Counted, CountWindow, TakeOptions } from './points';
import type { RedisPoints } from './redis-points';

const PROBE_MS = 1_000;

export interface InsuredPointsDeps {
  redis: Redis;
  points: RedisPoints;
  insurance: MemoryPoints;
  /** once per outage */
  onAway(error: unknown): void;
  onBack(): void;
}

/** None of it rejects. */
export interface InsuredPoints {
  /** Calls for one window come one after the other. */
  take(window: CountWindow, wanted: number, options?: TakeOptions): Promise<Taken>;
  /** Into nothing while Redis is away. */
  handBack(window: CountWindow, points: number, leftMs: number): Promise<void>;
  /** undefined: no window has begun, or Redis is away */
  look(window: CountWindow): Promise<Counted | undefined>;
  close(): void;
}

export function createInsuredPoints(deps: InsuredPointsDeps): InsuredPoints {
  const { points, insurance } = deps;
  const link = watchLink(deps);
  /** @returns undefined where Redis is away */
  const ask = async <T>(call: () => Promise<T>): Promise<T | undefined> => {
    if (link.away) return undefined;
    try {
      return await call();
    } catch (error) {
      link.lost(error);
      return undefined;
    }
  };
  return {
    take: async (window, wanted, options) =>
      (await ask(() => points.take(window, wanted + (options?.debt ?? 0)))) ??
      insurance.take(window, wanted, options),
    handBack: async (window, count, leftMs) => {
      await ask(() => points.handBack(window, count, leftMs));
    },
    look: (window) => ask(() => points.look(window)),
    close: () => link.close(),
  };
}

interface Link {
  readonly away: boolean;
  lost(error: unknown): void;
  close(): void;
}

function watchLink({ redis, points, onAway, onBack }: InsuredPointsDeps): Link {
  let away = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  const probe = async (): Promise<void> => {
    clearTimeout(timer);
    const there = await points.writes();
    if (!away || closed) return;
    if (there) {
      away = false;
      onBack();
    } else probeLater();
  };
  const probeLater = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void probe(), PROBE_MS);
    timer.unref();
  };
  const onReady = (): void => {
    if (away && !closed) void probe();
  };
  redis.on('ready', onReady);
  return {
    get away() {
      return away;
    },
    lost: (error) => {
      if (away || closed) return;
      away = true;
      onAway(error);
      probeLater();
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
      redis.off('ready', onReady);
    },
  };
}
