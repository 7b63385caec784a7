/** What a subscriber of a job is told. `data` is always one line of JSON. */
import { isFinalJobEvent } from '../../domain/realtime/publication';
import { FLEETING, type LogEntry } from '../../domain/realtime/topic-log';
import type { Message } from './transport';

const EVENTS: Readonly<Record<string, Message['event']>> = { 'job.progress': 'progress', 'job.item': 'item' };

/**
 * `progress`: `{type, job_id, counts, rate_per_second, eta_seconds}`;
 * `status`: `{event_id, type, timestamp, …}` and what the event says, e.g. `job_id`, `status`, `counts`;
 * `item`: `{type, job_id, …}` and what ended.
 */
export function toMessage(entry: LogEntry): Message {
  const { id, data, ...head } = JSON.parse(entry.payload) as { id?: string; data: object };
  const flat = { ...(id === undefined ? {} : { event_id: id }), ...head, ...data };
  return { ...idOf(entry.id), event: EVENTS[entry.type] ?? 'status', data: JSON.stringify(flat) };
}

/** The job's last event: it is told as `done`, once, with the job as it ended. */
export function isLast(entry: LogEntry): boolean {
  return isFinalJobEvent(entry.type);
}

/** @param cursor left out where a client must not resume after it */
export function snapshotMessage(job: object, cursor: number | undefined): Message {
  return { ...idOf(cursor), event: 'snapshot', data: JSON.stringify(job) };
}

export function doneMessage(job: object, cursor: number | undefined): Message {
  return { ...idOf(cursor), event: 'done', data: JSON.stringify(job) };
}

function idOf(id: number | undefined): { id?: number } {
  return id === undefined || id === FLEETING ? {} : { id };
}
