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
  /** Told to those who follow right now, and kept nowhere. */
  fleeting?: true;
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

/** What of an event's data goes to subscribers; whoever needs more reads the event. It bounds what Redis keeps for replay. */
export const PUSHED_BYTES_MAX = 16_384;

/** An event goes to its job's topic, if it is about one, and to its tenant's. `data` stays the exact text. */
export function publicationOf(event: StoredEvent): Publication {
  const head = JSON.stringify({ id: event.id, type: event.type, timestamp: event.created_at.toISOString() });
  const targets: Target[] = [{ topic: topicFor.tenant(event.tenant_id), final: false }];
  // A tenant's own event may name anything as its subject, the job of another tenant too.
  if (event.subject.startsWith('job_') && event.type.startsWith('job.')) {
    targets.unshift({ topic: topicFor.job(event.subject), final: isFinalJobEvent(event.type) });
  }
  const omitted = event.omitted_bytes ? `,"omitted_bytes":${event.omitted_bytes}` : '';
  return {
    eventId: event.id,
    type: event.type,
    payload: `${head.slice(0, -1)},"data":${event.data}${omitted}}`,
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

/** What a follower of a job's items is told of one; without its output. */
export interface EndedItem {
  index: number;
  custom_id: string;
  status: 'succeeded' | 'failed';
  /** items that ended before this one and of which nobody was told, since there were too many in that second */
  skipped: number;
}

export function itemPublication(jobId: string, item: EndedItem): Publication {
  return {
    eventId: undefined,
    type: 'job.item',
    payload: JSON.stringify({ type: 'job.item', data: { job_id: jobId, ...item } }),
    targets: [{ topic: topicFor.job(jobId), final: false }],
    fleeting: true,
  };
}
