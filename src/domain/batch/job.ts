/** The words of a batch: what a job, its items and its results are. Shapes as the API shows them (snake_case). */
import type { Reduce } from './reduce';
import type { JobStatus } from './status';

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface RetryPolicy {
  max_attempts: number;
  initial_interval_ms: number;
  backoff_coefficient: number;
  max_interval_ms: number;
}

/** How a job is run. Every field has a default, see `DEFAULT_OPTIONS`; null means "no limit of its own". */
export interface JobOptions {
  max_concurrency: number | null;
  max_rps: number | null;
  item_timeout_ms: number;
  retry: RetryPolicy;
  tolerated_failure: { count?: number | undefined; percentage?: number | undefined } | null;
  priority: number;
  expires_in_seconds: number | null;
}

/** What may be changed while the job runs. */
export type LiveOptions = Pick<JobOptions, 'max_concurrency' | 'max_rps' | 'tolerated_failure'>;

export const DEFAULT_OPTIONS: JobOptions = {
  max_concurrency: null,
  max_rps: null,
  item_timeout_ms: 10_000,
  retry: { max_attempts: 1, initial_interval_ms: 1_000, backoff_coefficient: 2, max_interval_ms: 60_000 },
  tolerated_failure: null,
  priority: 3,
  expires_in_seconds: null,
};

/** Always adds up: total = pending + running + succeeded + failed + cancelled. */
export interface Counts {
  total: number;
  pending: number;
  running: number;
  succeeded: number;
  failed: number;
  cancelled: number;
}

/** A job as the store hands it out; ids are public ids, times are Dates, jobs of one tenant only. */
export interface Job {
  id: string;
  tenant_id: string;
  name: string | null;
  handler: string;
  params: Json;
  reduce: Reduce | null;
  options: JobOptions;
  metadata: Record<string, string>;
  status: JobStatus;
  counts: Counts;
  created_at: Date;
  queued_at: Date | null;
  started_at: Date | null;
  ended_at: Date | null;
  expires_at: Date | null;
  /** since when it is paused; null: it is not */
  paused_at: Date | null;
  /** of earlier pauses, as far as they lay after the job's start */
  paused_ms: number;
  parent_job_id: string | null;
  error: ItemError | null;
}

export interface ItemError {
  code: string;
  message: string;
}

export const RESULT_STATUSES = ['succeeded', 'failed', 'cancelled'] as const;
export type ResultStatus = (typeof RESULT_STATUSES)[number];

/** What one item came to. `output` is exact JSON text, so that what a handler wrote is what is downloaded. */
export interface ItemResult {
  index: number;
  custom_id: string | null;
  status: 'succeeded' | 'failed';
  output: string | null;
  error: ItemError | null;
  attempts: number;
  duration_ms: number;
}

/** Which job, and whose: every look-up is by both. */
export interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface NewJob {
  id: string;
  tenantId: string;
  /** of the key that asks for it; null: nobody's key */
  keyId: string | null;
  name: string | null;
  handler: string;
  params: Json;
  reduce: Reduce | null;
  options: JobOptions;
  metadata: Record<string, string>;
}

/** What is to change of a job; what is left out stays as it is. */
export interface JobPatch {
  name?: string | null | undefined;
  /** in place of all there was */
  metadata?: Record<string, string> | undefined;
  options?: { [Option in keyof LiveOptions]?: LiveOptions[Option] | undefined } | undefined;
}

/** The job that is to do again what failed, or was left out, of an ended one; handler, params and reduce are that one's. */
export interface NewRetry {
  /** of the new job */
  id: string;
  /** of the key that asks for it; null: nobody's key */
  keyId: string | null;
  /** left out: the ended job's */
  name?: string | null | undefined;
  metadata?: Record<string, string> | undefined;
  options: JobOptions;
}

/** A page of jobs, newest first. */
export interface JobPage {
  tenantId: string;
  status?: JobStatus | undefined;
  handler?: string | undefined;
  /** id of the last job of the page before */
  after?: string | undefined;
  limit: number;
}
