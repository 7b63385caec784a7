/**
 * The job's status machine. Every change in the database is one `update … where status in (…)` fed by `statusesBefore`.
 *
 *   created -> queued -> running -> paused -> queued
 *      queued waits for a seat of the tenant's plan; any of those -> cancelling -> finalizing
 *      running -> finalizing -> completed | completed_with_errors | failed | cancelled | expired
 */
export const JOB_STATUSES = [
  'created',
  'queued',
  'running',
  'paused',
  'cancelling',
  'finalizing',
  'completed',
  'completed_with_errors',
  'failed',
  'cancelled',
  'expired',
] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

/** from -> what may follow. A status with no successor is final. */
export const TRANSITIONS = {
  created: ['queued', 'cancelled'],
  queued: ['running', 'paused', 'cancelling', 'finalizing'],
  running: ['paused', 'cancelling', 'finalizing'],
  paused: ['queued', 'cancelling', 'finalizing'],
  cancelling: ['finalizing'],
  finalizing: ['completed', 'completed_with_errors', 'failed', 'cancelled', 'expired'],
  completed: [],
  completed_with_errors: [],
  failed: [],
  cancelled: [],
  expired: [],
} as const satisfies Record<JobStatus, readonly JobStatus[]>;

export const FINAL_STATUSES: readonly JobStatus[] = JOB_STATUSES.filter((s) => TRANSITIONS[s].length === 0);
/** A workflow should exist for a job in one of these. */
export const DRIVEN_STATUSES: readonly JobStatus[] = [
  'queued',
  'running',
  'paused',
  'cancelling',
  'finalizing',
];

export function isFinal(status: JobStatus): boolean {
  return TRANSITIONS[status].length === 0;
}

/** The statuses from which `to` may be reached: the `where status in (…)` of the update. */
export function statusesBefore(to: JobStatus): JobStatus[] {
  return JOB_STATUSES.filter((from) => (TRANSITIONS[from] as readonly JobStatus[]).includes(to));
}

/** What the operator wants of a job; kept in the row with a version, a signal only wakes the workflow. */
export const DESIRED_STATES = ['running', 'paused', 'cancelled'] as const;
export type DesiredState = (typeof DESIRED_STATES)[number];

/** How the workflow came to the end of dispatching; decides the final status. */
export type Outcome = 'drained' | 'cancelled' | 'tolerance_exceeded' | 'expired';

/** The final status of a job that ended by `outcome` with so many failed items, of which it tolerates so many (null: all). */
export function finalStatus(outcome: Outcome, failed: number, tolerated: number | null): JobStatus {
  switch (outcome) {
    case 'cancelled':
      return 'cancelled';
    case 'expired':
      return 'expired';
    case 'tolerance_exceeded':
      return 'failed';
    case 'drained':
      // The one failure too many may have been the last item.
      if (tolerated !== null && failed > tolerated) return 'failed';
      return failed > 0 ? 'completed_with_errors' : 'completed';
  }
}
