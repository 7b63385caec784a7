/** A job as the API shows it. */
import type { Job, JobRef } from '../../domain/batch/job';
import { foretellJob, type Progress } from '../../domain/batch/progress';
import { isFinal } from '../../domain/batch/status';
import { redactParams } from '../../domain/handler/secret-params';
import type { Principal } from '../../domain/key/scopes';

export interface JobBodyDeps {
  now(): Date;
  /** Address of the job's workflow in Temporal's web UI; null where that is not known. */
  temporalLink(ref: JobRef): string | null;
}

export type JobBody = ReturnType<typeof toJobBody>;

export interface JobViewer extends Pick<Principal, 'scopes'> {
  /** where the realtime log stood before the job was read: who follows from there misses nothing */
  cursor?: number | undefined;
}

/** @param asker decides on `links.temporal`, since that UI shows every tenant */
export function toJobBody(deps: JobBodyDeps, job: Job, asker: JobViewer) {
  const { id, tenant_id, counts, ...rest } = job;
  const self = jobPath(id);
  const temporal = asker.scopes.includes('admin')
    ? deps.temporalLink({ tenantId: tenant_id, jobId: id })
    : null;
  return {
    id,
    object: 'job' as const,
    tenant_id,
    name: rest.name,
    handler: rest.handler,
    params: redactParams(rest.params),
    reduce: rest.reduce,
    options: rest.options,
    metadata: rest.metadata,
    status: rest.status,
    counts,
    ...foretold(deps, job, counts),
    created_at: rest.created_at,
    queued_at: rest.queued_at,
    started_at: rest.started_at,
    ended_at: rest.ended_at,
    expires_at: rest.expires_at,
    parent_job_id: rest.parent_job_id,
    error: rest.error,
    links: {
      self,
      events: `${self}/events${isFinal(job.status) || asker.cursor === undefined ? '' : `?last_event_id=${asker.cursor}`}`,
      items: `${self}/items`,
      results: `${self}/results`,
      summary: `${self}/summary`,
      ...(temporal === null ? {} : { temporal }),
    },
  };
}

export function jobPath(jobId: string): string {
  return `/v1/jobs/${jobId}`;
}

/** Rate and time left as of now, or as of the job's end. */
export function foretold(
  deps: Pick<JobBodyDeps, 'now'>,
  job: Job,
  counts: Job['counts'],
): Omit<Progress, 'counts'> {
  return foretellJob(job, counts, deps.now());
}
