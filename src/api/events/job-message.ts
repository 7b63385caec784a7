/** What a subscriber of a job is sent. `data` is always one line of JSON. */
import { isFinalJobEvent } from '../../domain/realtime/publication';
import type { LogEntry } from '../../domain/realtime/topic-log';
import type { SseMessage } from './sse-hub';

/**
 * `progress`: `{type, job_id, counts, rate_per_second, eta_seconds}`;
 * `status`: `{event_id, type, timestamp, …}` and what the event says, e.g. `job_id`, `status`, `counts`.
 */
export function toMessage(entry: LogEntry): SseMessage {
  const { id, data, ...head } = JSON.parse(entry.payload) as { id?: string; data: object };
  const flat = { ...(id === undefined ? {} : { event_id: id }), ...head, ...data };
  const event = entry.type === 'job.progress' ? 'progress' : 'status';
  return { id: entry.id, event, data: JSON.stringify(flat) };
}

/** The job's last event: it is sent as `done`, once, with the job as it ended. */
export function isLast(entry: LogEntry): boolean {
  return isFinalJobEvent(entry.type);
}

/** @param cursor left out where a client must not resume after it */
export function snapshotMessage(job: object, cursor: number | undefined): SseMessage {
  return { ...(cursor === undefined ? {} : { id: cursor }), event: 'snapshot', data: JSON.stringify(job) };
}

export function doneMessage(job: object, cursor: number | undefined): SseMessage {
  return { ...(cursor === undefined ? {} : { id: cursor }), event: 'done', data: JSON.stringify(job) };
}

/** The cursor is not in the log: forget what came before, a new snapshot follows. */
export const RESET_MESSAGE: SseMessage = { event: 'reset', data: '{"reason":"cursor_unknown"}' };
