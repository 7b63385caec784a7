/** How many failed items a job bears. */
import type { JobOptions } from './job';

/** A percentage of a total is not exact in floating point: a whole number must not come out a hair below itself. */
const EPSILON = 1e-9;

/**
 * Failed items up to which a job goes on: `count`, or `percentage` of `total`, whichever is less (the words of Step
 * Functions' ToleratedFailureCount and ToleratedFailurePercentage). null: all may fail.
 */
export function failuresTolerated(tolerance: JobOptions['tolerated_failure'], total: number): number | null {
  const limits: number[] = [];
  if (tolerance?.count !== undefined) limits.push(tolerance.count);
  if (tolerance?.percentage !== undefined) {
    limits.push(Math.floor((tolerance.percentage * total) / 100 + EPSILON));
  }
  return limits.length === 0 ? null : Math.min(...limits);
}
