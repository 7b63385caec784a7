/** What insures the counts in Redis while it is away: counts of this process alone, of its share of each quota. */
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Taken } from '../../domain/limit/account';
import { type Crew, shareOf } from '../../domain/limit/lease';
import type { CountWindow, TakeOptions } from './points';

/** Counts kept; beyond that the one that was longest not asked for is forgotten. */
const COUNTS_MAX = 50_000;

export interface MemoryPoints {
  take(window: CountWindow, wanted: number, options?: TakeOptions): Promise<Taken>;
}

/** @param crew by which quotas are shared; asked anew each time */
export function createMemoryPoints({ crew }: { crew(): Crew }): MemoryPoints {
  // Quotas differ by key, so the comparison is done here and the library counts.
  const limiter = new RateLimiterMemory({
    keyPrefix: 'insurance',
    points: Number.MAX_SAFE_INTEGER,
    duration: 1,
  });
  const kept = new LRUCache<string, true>({
    max: COUNTS_MAX,
    dispose: (_true, key, reason) => {
      if (reason === 'evict') void limiter.delete(key);
    },
  });
  const begin = async (key: string, lastsMs: number) => {
    const endsInMs = Math.max(1, lastsMs);
    await limiter.set(key, 0, endsInMs / 1000);
    return { used: 0, endsInMs };
  };
  const inTurn = createTurns();
  const take = async (key: string, window: CountWindow, { wanted, before }: Asked): Promise<Taken> => {
    const known = await limiter.get(key);
    const { used, endsInMs } =
      known === null || known.msBeforeNext <= 0
        ? await begin(key, before?.endsInMs ?? window.lastsMs)
        : { used: known.consumedPoints, endsInMs: known.msBeforeNext };
    kept.set(key, true);
    const share = shareOf(window.quota, crew());
    const usedInAll = Math.max(used, before?.used ?? 0);
    const given = Math.max(0, Math.min(wanted, share - usedInAll));
    await limiter.penalty(key, usedInAll - used + given);
    return {
      given,
      remaining: Math.max(0, share - usedInAll - given),
      endsInMs,
      ceiling: share,
      insured: true,
    };
  };
  return {
    take: (window, wanted, { before } = {}) => {
      const key = `${window.policy}:${window.key}`;
      return inTurn(key, () => take(key, window, { wanted, before }));
    },
  };
}

interface Asked {
  wanted: number;
  before: TakeOptions['before'];
}

/** Looking and counting are two steps, between which nobody else may look at the same count. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return async <T>(key: string, step: () => Promise<T>): Promise<T> => {
    const turn = (last.get(key) ?? Promise.resolve()).then(step, step);
    last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (last.get(key) === turn) last.delete(key);
    }
  };
}
