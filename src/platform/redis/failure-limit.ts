/**
 * Attempts with keys that are not accepted, by address and minute, over all processes. Who has used his up is remembered here
 * until the minute is over, and costs no call; another process learns of it by the next attempt that fails there.
 */
import { LRUCache } from 'lru-cache';
import { addressGroup } from '../../domain/limit/address-group';
import { MINUTE_SECONDS } from '../../domain/limit/policy';
import type { InsuredPoints } from './insured-points';

const POLICY = 'failures';
const MINUTE_MS = MINUTE_SECONDS * 1000;
/** Addresses remembered; beyond that the oldest is let in again, and has to fail again. */
const BLOCKED_MAX = 100_000;

export interface FailureLimitDeps {
  points: InsuredPoints;
  /** of one address; 0: no limit */
  perMinute: number;
  ticks(): number;
}

export interface FailureLimit {
  /** Seconds until the address may try again; undefined: it may. Never rejects. */
  blocked(address: string): Promise<number | undefined>;
  /** Counts an attempt. Never rejects. */
  failed(address: string): Promise<void>;
}

export function createFailureLimit({ points, perMinute, ticks }: FailureLimitDeps): FailureLimit {
  if (perMinute === 0) return { blocked: async () => undefined, failed: async () => undefined };
  const blockedUntil = new LRUCache<string, number>({ max: BLOCKED_MAX });
  const window = { policy: POLICY, quota: perMinute, lastsMs: MINUTE_MS, calendar: false };
  return {
    blocked: async (address) => {
      const group = addressGroup(address);
      const until = blockedUntil.get(group);
      if (until === undefined) return undefined;
      const leftMs = until - ticks();
      if (leftMs > 0) return Math.ceil(leftMs / 1000);
      blockedUntil.delete(group);
      return undefined;
    },
    failed: async (address) => {
      const key = addressGroup(address);
      const { remaining, endsInMs } = await points.take({ ...window, key }, 1);
      if (remaining === 0) blockedUntil.set(key, ticks() + endsInMs);
    },
  };
}
