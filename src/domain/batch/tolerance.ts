/** How many failed items a job bears. */
import type { JobOptions } from './job';

export type Tolerance = JobOptions['tolerated_failure'];

/**
 * Whether more items failed than the job tolerates: more than `count`, or more than `percentage` of `total`, whichever is
 * met first (the words of Step Functions' ToleratedFailureCount and ToleratedFailurePercentage). Exactly the limit is borne.
 */
export function exceedsTolerance(tolerance: Tolerance, failed: number, total: number): boolean {
  if (tolerance === null) return false;
  const { count, percentage } = tolerance;
  if (count !== undefined && failed > count) return true;
  return percentage !== undefined && failed * 100 > percentage * total;
}
