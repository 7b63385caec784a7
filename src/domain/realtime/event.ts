/** Events: what happened, immutable. `data` is exact JSON text, the same bytes wherever it is delivered. */
export const JOB_EVENT_TYPES = [
  'job.created',
  'job.queued',
  'job.started',
  'job.progress',
  'job.paused',
  'job.resumed',
  'job.updated',
  'job.cancelling',
  'job.completed',
  'job.completed_with_errors',
  'job.failed',
  'job.cancelled',
  'job.expired',
  'job.deleted',
] as const;
export type JobEventType = (typeof JOB_EVENT_TYPES)[number];

/** About a tenant: most, or all, of what its plan allows in a period is used. */
export const QUOTA_EVENT_TYPES = ['quota.warning', 'quota.exceeded'] as const;
export type QuotaEventType = (typeof QUOTA_EVENT_TYPES)[number];

/** An event as it stands in the `events` table. */
export interface StoredEvent {
  id: string;
  tenant_id: string;
  type: string;
  /** public id of what it happened to, e.g. the job */
  subject: string;
  data: string;
  /** where `data` is too much to be pushed, and is `null` here: how much it is */
  omitted_bytes?: number | null;
  created_at: Date;
}

/** What a realtime subscriber follows: `job:{id}` or `tenant:{id}`. */
export const topicFor = {
  job: (jobId: string): string => `job:${jobId}`,
  tenant: (tenantId: string): string => `tenant:${tenantId}`,
};
