/**
 * Attempts with keys that are not accepted, by address and minute, over all processes. Who has used his up is remembered here
 * until the minute is over, and costs no call; another process learns of it by the next attempt that fails there. A good key
 * that this process has never seen would wait with the bad ones at its address, since only a look-up tells them apart: so a few
 * look-ups are left.
 */
import { LRUCache } from 'lru-cache';
import { addressGroup } from '../../domain/limit/address-group';
import { MINUTE_SECONDS } from '../../domain/limit/policy';
import type { InsuredPoints } from './insured-points';

const POLICY = 'failures';
const MINUTE_MS = MINUTE_SECONDS * 1000;
/** Addresses remembered; beyond that the oldest is let in again, and has to fail again. */
const BLOCKED_MAX = 100_000;
/** Of one address: as often as one that is just not blocked may fail. */
const LOOK_UP_EVERY_MS = 1_000;
/** So many at once: behind one address there may be many, and after a restart they are all new. */
const LOOK_UPS_AT_ONCE = 10;

export interface FailureLimitDeps {
  points: Pick<InsuredPoints, 'take'>;
  /** of one address; 0: no limit */
  perMinute: number;
  ticks(): number;
}

export interface FailureLimit {
  /** Seconds until the address may try again; undefined: it may. Never rejects. */
  blocked(address: string): Promise<number | undefined>;
  /** Seconds until a key may be looked up for it; undefined: now, which is taken for done. Never rejects. */
  lookUpBlocked(address: string): Promise<number | undefined>;
  /** Counts an attempt. Never rejects. */
  failed(address: string): Promise<void>;
}

export function createFailureLimit({ points, perMinute, ticks }: FailureLimitDeps): FailureLimit {
  if (perMinute === 0) return NO_LIMIT;
  const blocked = new LRUCache<string, Block>({ max: BLOCKED_MAX });
  const blockOf = (group: string, now: number): Block | undefined => {
    const block = blocked.get(group);
    if (block === undefined || block.until > now) return block;
    blocked.delete(group);
    return undefined;
  };
  const window = { policy: POLICY, quota: perMinute, lastsMs: MINUTE_MS, calendar: false };
  return {
    blocked: async (address) => {
      const now = ticks();
      const block = blockOf(addressGroup(address), now);
      return block && Math.ceil((block.until - now) / 1000);
    },
    lookUpBlocked: async (address) => {
      const now = ticks();
      const block = blockOf(addressGroup(address), now);
      return block && takeLookUp(block, now);
    },
    failed: async (address) => {
      const key = addressGroup(address);
      const { remaining, endsInMs } = await points.take({ ...window, key }, 1);
      if (remaining > 0) return;
      const now = ticks();
      // What it has looked up stays counted, also where several attempts find at once that it was the last.
      const lookUpsPaidAt = blockOf(key, now)?.lookUpsPaidAt ?? now;
      blocked.set(key, { until: now + endsInMs, lookUpsPaidAt });
    },
  };
}

const NO_LIMIT: FailureLimit = {
  blocked: async () => undefined,
  lookUpBlocked: async () => undefined,
  failed: async () => undefined,
};

interface Block {
  until: number;
  /** When all its look-ups will have been worth their time (the generic cell rate algorithm). */
  lookUpsPaidAt: number;
}

/** Seconds to wait; undefined: it is taken. */
function takeLookUp(block: Block, now: number): number | undefined {
  const paidAt = Math.max(block.lookUpsPaidAt, now) + LOOK_UP_EVERY_MS;
  const waitMs = paidAt - now - LOOK_UPS_AT_ONCE * LOOK_UP_EVERY_MS;
  if (waitMs > 0) return Math.ceil(waitMs / 1000);
  block.lookUpsPaidAt = paidAt;
  return undefined;
}
