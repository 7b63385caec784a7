/** The arithmetic of `max_rps`: how many items are reserved at once, and how far apart they begin. */
import { laneCount, type Limits } from './partition';

/** Time worth of items that one lane reserves: few calls, and little lost when the lane stops. */
const BLOCK_MS = 250;
const BLOCK_MAX = 1_000;

/** `items` may begin, the first of them in `waitMs`; none: ask again in `waitMs`. */
export interface Reservation {
  items: number;
  waitMs: number;
}

export function paceInterval(maxRps: number): number {
  return 1_000 / maxRps;
}

/** Items that one lane reserves at once, at least one. */
export function blockItems(limits: Limits & { maxRps: number }): number {
  const perLane = (limits.maxRps * BLOCK_MS) / 1_000 / laneCount(limits);
  return Math.min(BLOCK_MAX, Math.max(1, Math.floor(perLane)));
}
