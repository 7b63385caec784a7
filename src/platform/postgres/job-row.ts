/** How a row of `jobs` becomes a `Job`: public ids, counts that add up. */
import { encodeId } from '../../domain/ids';
import type { ItemError, Job, JobOptions, Json } from '../../domain/batch/job';
import { toCounts } from '../../domain/batch/progress';
import type { Reduce } from '../../domain/batch/reduce';
import { isFinal, type DesiredState, type JobStatus } from '../../domain/batch/status';

export interface JobRow {
  id: string;
  tenant_id: string;
  name: string | null;
  handler: string;
  params: Json;
  reduce: Reduce | null;
  options: JobOptions;
  metadata: Record<string, string>;
  status: JobStatus;
  desired: DesiredState;
  desired_version: number;
  upload: number;
  total: number;
  chunk_items: number | null;
  succeeded: number;
  failed: number;
  cancelled: number;
  running: number;
  error: ItemError | null;
  parent_job_id: string | null;
  created_at: Date;
  queued_at: Date | null;
  started_at: Date | null;
  ended_at: Date | null;
  expires_at: Date | null;
  paused_at: Date | null;
  /** a bigint: as text */
  paused_ms: string;
}

/**
 * The select list that makes a `JobRow` of `jobs j`. While a job runs its counts are the sum over its chunks,
 * so that no chunk waits on the job's row; once it ended they stand in the row and the chunks are gone.
 */
export const JOB_COLUMNS = `
  j.id, j.tenant_id, j.name, j.handler, j.params, j.reduce, j.options, j.metadata, j.status, j.desired, j.desired_version,
  j.upload, j.total, j.chunk_items, j.cancelled, j.error, j.parent_job_id,
  j.created_at, j.queued_at, j.started_at, j.ended_at, j.expires_at, j.paused_at, j.paused_ms,
  coalesce(c.succeeded, j.succeeded) as succeeded, coalesce(c.failed, j.failed) as failed, coalesce(c.running, 0) as running`;

/** To be joined to `jobs j` for `JOB_COLUMNS`. */
export const LIVE_COUNTS = `
  left join lateral (
    select sum(succeeded)::int as succeeded, sum(failed)::int as failed, sum(running)::int as running
    from chunks where chunks.job_id = j.id and j.ended_at is null
  ) c on true`;

/**
 * Of an `update jobs` that takes a job out of its pause. What lay before the job's start is not booked: it is no part of the
 * time that `paused_ms` is taken off. Clocks of transactions may cross, hence no less than 0.
 */
export const END_PAUSE = `paused_at = null, paused_ms = paused_ms
  + greatest(0, case when started_at is not null then extract(epoch from now() - paused_at) * 1000 end)::bigint`;

export function toJob(row: JobRow): Job {
  return {
    id: encodeId('job', row.id),
    tenant_id: encodeId('tenant', row.tenant_id),
    name: row.name,
    handler: row.handler,
    params: row.params,
    reduce: row.reduce,
    options: row.options,
    metadata: row.metadata,
    status: row.status,
    counts: toCounts({ ...row, running: isFinal(row.status) ? 0 : row.running }),
    created_at: row.created_at,
    queued_at: row.queued_at,
    started_at: row.started_at,
    ended_at: row.ended_at,
    expires_at: row.expires_at,
    paused_at: row.paused_at,
    paused_ms: Number(row.paused_ms),
    parent_job_id: row.parent_job_id === null ? null : encodeId('job', row.parent_job_id),
    error: row.error,
  };
}
