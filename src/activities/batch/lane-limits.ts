/** The limits of the job as they are now, and what of them is this chunk's. */
import { laneShare, type Limits } from '../../domain/batch/partition';
import type { Concurrency } from '../../domain/handler/contract';

export interface LaneLimits extends Concurrency {
  readonly limits: Limits;
  /** false: the lane is gone */
  readonly exists: boolean;
  update(limits: Limits): void;
}

/** @param isolated one item at a time, whatever the limits are */
export interface LanePlace {
  lane: number;
  /** lanes at the hand-out */
  lanes: number;
}

export function createLaneLimits(limits: Limits, { lane, lanes }: LanePlace, isolated: boolean): LaneLimits {
  const listeners = new Set<() => void>();
  let current = limits;
  return {
    get limits() {
      return current;
    },
    get exists() {
      return laneShare(current, lane) > 0;
    },
    now: () => (isolated ? 1 : Math.max(1, laneShare(current, lane, lanes))),
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    update(next) {
      if (next.concurrency === current.concurrency && next.maxRps === current.maxRps) return;
      current = next;
      for (const listener of [...listeners]) listener();
    },
  };
}
