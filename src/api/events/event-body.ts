/** An event as it is shown: finished JSON text, since `data` stays the very text that was published. */
import type { EventRecord } from './ports';

export function eventJson(event: EventRecord): string {
  const { id, tenant_id, type, subject, channels, event_id, data, created_at } = event;
  const head = JSON.stringify({
    id,
    object: 'event',
    tenant_id,
    type,
    subject: subject === '' ? null : subject,
    channels,
    event_id,
  });
  return `${head.slice(0, -1)},"data":${data},"timestamp":"${created_at.toISOString()}"}`;
}

export function eventPath(eventId: string): string {
  return `/v1/events/${eventId}`;
}
