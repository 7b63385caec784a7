/** Which topics an event goes to, and in what form. */
import { isFinal, JOB_STATUSES } from '../batch/status';
import { type JobEventType, type StoredEvent, topicFor } from './event';

export interface Target {
  topic: string;
  /** the topic's last event: its log expires an hour later */
  final: boolean;
}

export interface Publication {
  /** public id of the event, by which a repeated publication is recognised; undefined for what is realtime only */
  eventId: string | undefined;
  type: string;
  /** see `LogEntry` */
  payload: string;
  targets: readonly Target[];
}

const DELETED: JobEventType = 'job.deleted';
const FINAL_TYPES: ReadonlySet<string> = new Set([
  ...JOB_STATUSES.filter(isFinal).map((status) => `job.${status}`),
  DELETED,
]);

/** The event after which nothing happens to a job any more. */
export function isFinalJobEvent(type: string): boolean {
  return FINAL_TYPES.has(type);
}

/** There is no job any more that could be shown as it ended. */
export function isDeletion(type: string): boolean {
  return type === DELETED;
}

/** An event goes to its job's topic, if it is about one, and to its tenant's. `data` stays the exact text. */
export function publicationOf(event: StoredEvent): Publication {
  const head = JSON.stringify({ id: event.id, type: event.type, timestamp: event.created_at.toISOString() });
  const targets: Target[] = [{ topic: topicFor.tenant(event.tenant_id), final: false }];
  if (event.subject.startsWith('job_')) {
    targets.unshift({ topic: topicFor.job(event.subject), final: isFinalJobEvent(event.type) });
  }
  return {
    eventId: event.id,
    type: event.type,
    payload: `${head.slice(0, -1)},"data":${event.data}}`,
    targets,
  };
}

/** Progress goes to the job's subscribers only, and is never kept beyond their log. */
export function progressPublication(jobId: string, progress: object): Publication {
  return {
    eventId: undefined,
    type: 'job.progress',
    payload: JSON.stringify({ type: 'job.progress', data: { job_id: jobId, ...progress } }),
    targets: [{ topic: topicFor.job(jobId), final: false }],
  };
}
