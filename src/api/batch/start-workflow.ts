/**
 * Telling Temporal, after the commit. Nobody waits for it: the rows are the truth, so a failure here delays and never harms, and
 * while Temporal is away requests are as quick as ever. The sweep heals what is lost.
 */
import type { Job, JobRef } from '../../domain/batch/job';
import { itemMaxMs } from '../../domain/handler/retry';
import type { Log } from '../ports';
import type { JobEngine } from './ports';

export function startWorkflow(engine: Pick<JobEngine, 'start'>, job: Job, log: Log): void {
  const { handler, options, parent_job_id: parent } = job;
  const ref = { tenantId: job.tenant_id, jobId: job.id };
  // A retry has its items to fetch first.
  const first = parent === null ? { itemMaxMs: itemMaxMs(options) } : undefined;
  engine
    .start({ ...ref, handler, priority: options.priority, first })
    .catch((err: unknown) => log.warn({ err, job_id: job.id }, 'workflow not started; the sweep will'));
}

export function wakeWorkflow(engine: Pick<JobEngine, 'wake'>, ref: JobRef, log: Log): void {
  engine
    .wake(ref)
    .catch((err: unknown) => log.warn({ err, job_id: ref.jobId }, 'workflow not woken; the sweep will'));
}
