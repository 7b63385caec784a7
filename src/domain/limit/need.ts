/** How much was spent of late, in two buckets: the present one and the one before. */
const BUCKET_MS = 100;

export interface Need {
  begunAt: number;
  present: number;
  before: number;
}

export function noNeed(): Need {
  return { begunAt: 0, present: 0, before: 0 };
}

export function noteNeed(need: Need, points: number, now: number): void {
  turn(need, now);
  need.present += points;
}

/** Points of a tenth of a second, as far as it is over, or of the one before. */
export function recentNeed(need: Need, now: number): number {
  turn(need, now);
  return Math.max(need.present, need.before);
}

function turn(need: Need, now: number): void {
  const age = now - need.begunAt;
  if (age < BUCKET_MS) return;
  need.before = age < 2 * BUCKET_MS ? need.present : 0;
  need.present = 0;
  need.begunAt = now;
}
