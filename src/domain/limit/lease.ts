/** How many points a process takes from a count that all processes share, and what it may give out when that count is away. */

/** Where so few fit into a window every single one is taken as it is needed: the count is exact, and there is little to save. */
export const EXACT_BELOW = 1_000;
const LEASE_MAX = 500;
/** Of what is left, a process takes its fair share divided by this: the last points go one by one. */
const CAUTION = 8;

export interface LeaseWish {
  quota: number;
  /** what the shared count had left when it was last heard of */
  remaining: number | undefined;
  /** live processes, this one included */
  processes: number;
  /** points that requests wait for right now; they are asked for whatever is left */
  demand: number;
  /** points spent in the last 100 ms */
  recentNeed: number;
}

export function leaseSize({ quota, remaining, processes, demand, recentNeed }: LeaseWish): number {
  if (quota < EXACT_BELOW || remaining === undefined) return demand;
  const share = Math.floor(remaining / (CAUTION * processes));
  return Math.max(demand, Math.min(share, recentNeed, LEASE_MAX));
}

/** From so many points in 100 ms on, more are taken before the last one is spent; below, that would often be for nobody. */
const AHEAD_FROM = 40;

/** Of a lease; what is left lasts for a call. */
const AHEAD_AT = 1 / 3;

/** How many points to take although nobody waits yet. */
export function pointsAhead(wish: Omit<LeaseWish, 'demand'>, held: number): number {
  if (held >= LEASE_MAX * AHEAD_AT) return 0;
  const size = leaseSize({ ...wish, demand: 0 });
  return size >= AHEAD_FROM && held < size * AHEAD_AT ? size - held : 0;
}

/** The API processes that live, and where this one stands among them (from 0, by id). */
export interface Crew {
  processes: number;
  rank: number;
}

/** One process's part of a quota: the parts of all make the quota, neither more nor less. */
export function shareOf(quota: number, { processes, rank }: Crew): number {
  return Math.floor(quota / processes) + (rank < quota % processes ? 1 : 0);
}
