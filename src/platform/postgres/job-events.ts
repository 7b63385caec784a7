/** The lifecycle events of a job, written in the transaction of the change. */
import { encodeId } from '../../domain/ids';
import type { JobEventType } from '../../domain/realtime/event';
import type { NewEvent } from './event-store';
import { toJob, type JobRow } from './job-row';

export interface EventAppender {
  append(events: readonly NewEvent[]): Promise<void>;
}

/** What may happen to one job again and again; each bumps `desired_version`, which tells them apart. */
const REPEATED: ReadonlySet<JobEventType> = new Set(['job.paused', 'job.resumed', 'job.updated']);

/** `job.{what}` about the job as `row` has it now. */
export function jobEvent(type: JobEventType, row: JobRow): NewEvent {
  const job = toJob(row);
  const data = {
    job_id: job.id,
    name: job.name,
    handler: job.handler,
    status: job.status,
    counts: job.counts,
    error: job.error,
    metadata: job.metadata,
    ...(type === 'job.updated' && { options: job.options }),
  };
  return {
    tenantId: encodeId('tenant', row.tenant_id),
    type,
    subject: job.id,
    data: JSON.stringify(data),
    ...(REPEATED.has(type) && { occurrence: row.desired_version }),
  };
}
