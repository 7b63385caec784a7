/** Counting: how rows and workflow memory become one progress, and what it lets one foretell. */
import type { Counts, Job } from './job';

export interface Progress {
  counts: Counts;
  rate_per_second: number | null;
  eta_seconds: number | null;
}

/** What is known of a job's items: the rest is pending, so that counts always add up. */
export interface Tally {
  total: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  /** in flight when last reported; never more than what is left */
  running: number;
}

export function toCounts(tally: Tally): Counts {
  const done = tally.succeeded + tally.failed + tally.cancelled;
  const left = Math.max(0, tally.total - done);
  const running = Math.min(Math.max(0, tally.running), left);
  return {
    total: tally.total,
    pending: left - running,
    running,
    succeeded: tally.succeeded,
    failed: tally.failed,
    cancelled: tally.cancelled,
  };
}

/** Mean rate since the start, and what is left divided by it. Both null until something is done. */
export function foretell(counts: Counts, elapsedMs: number): Omit<Progress, 'counts'> {
  const done = counts.succeeded + counts.failed;
  if (done === 0 || elapsedMs <= 0) return { rate_per_second: null, eta_seconds: null };
  const rate = (done * 1000) / elapsedMs;
  const left = counts.pending + counts.running;
  return { rate_per_second: Math.round(rate * 100) / 100, eta_seconds: Math.ceil(left / rate) };
}

/** Time in which the job could get on, in ms: from its start to its end, or to `now`, without its pauses. */
export function activeMs(
  job: Pick<Job, 'started_at' | 'ended_at' | 'paused_at' | 'paused_ms'>,
  now: Date,
): number {
  if (job.started_at === null) return 0;
  const untilMs = (job.paused_at ?? job.ended_at ?? now).getTime();
  return Math.max(0, untilMs - job.started_at.getTime() - job.paused_ms);
}

/** As `foretell`, of a job as it stands `now`, or as it ended. While it is paused nobody knows what is left of the pause. */
export function foretellJob(job: Job, counts: Counts, now: Date): Omit<Progress, 'counts'> {
  const foretold = foretell(counts, activeMs(job, now));
  return job.status === 'paused' ? { ...foretold, eta_seconds: null } : foretold;
}

/** The larger of two views of one job: progress only grows, so the larger is the newer. */
export function newerCounts(a: Counts, b: Counts): Counts {
  return a.succeeded + a.failed + a.cancelled >= b.succeeded + b.failed + b.cancelled ? a : b;
}
