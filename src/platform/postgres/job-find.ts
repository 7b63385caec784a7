/** One job, by tenant and id. */
import type { JobRef } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { JOB_COLUMNS, type JobRow, LIVE_COUNTS } from './job-row';
import { type Queryable, type Statement, statement } from './statement';

export const JOB_FIND = statement<JobRow>(
  'job.find',
  `select ${JOB_COLUMNS} from jobs j ${LIVE_COUNTS} where j.tenant_id = $1 and j.id = $2`,
);

/**
 * Under the row's lock: for changes that must look before they write. Chunks that refer to the job, and items that are being
 * taken over for it, hold its key alone and so don't keep a change waiting.
 */
export const JOB_LOCK = statement<JobRow>(
  'job.lock',
  `select j.*, 0 as running from jobs j where j.tenant_id = $1 and j.id = $2 for no key update`,
);

export function keyOf(ref: JobRef): [string, string] {
  return [decodeId('tenant', ref.tenantId), decodeId('job', ref.jobId)];
}

/** @throws AppError `not_found`: another tenant's job answers like none. */
export async function oneJob(
  db: Queryable,
  stmt: Statement<JobRow>,
  values: readonly unknown[],
): Promise<JobRow> {
  const [row] = await db.run(stmt, values);
  if (row === undefined) throw noSuchJob();
  return row;
}

export function noSuchJob(): AppError {
  return new AppError('not_found', 'There is no job with this id.');
}
