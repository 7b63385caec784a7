/** Telling Temporal, after the commit. The rows are the truth, so a failure here delays and never harms: a sweep heals it. */
import type { Job } from '../../domain/batch/job';
import type { Log } from '../ports';
import type { JobEngine, JobRef } from './ports';

export async function startWorkflow(engine: Pick<JobEngine, 'start'>, job: Job, log: Log): Promise<void> {
  const { handler, options } = job;
  try {
    await engine.start({ tenantId: job.tenant_id, jobId: job.id, handler, priority: options.priority });
  } catch (error) {
    log.warn({ err: error, job_id: job.id }, 'workflow not started; the sweep will');
  }
}

export async function wakeWorkflow(engine: Pick<JobEngine, 'wake'>, ref: JobRef, log: Log): Promise<void> {
  try {
    await engine.wake(ref);
  } catch (error) {
    log.warn({ err: error, job_id: ref.jobId }, 'workflow not woken; the sweep will');
  }
}
