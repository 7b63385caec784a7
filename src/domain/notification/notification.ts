/** Notifications: entries of a list that a tenant's rules make of its events. */
import { type Publication } from '../realtime/publication';
import { topicFor } from '../realtime/event';

/** What is pushed of each; no event, so it is nowhere but on streams. */
export const NOTIFICATION_CREATED = 'notification.created';

/** Rules of one tenant: each event is tested against all of them before it is told. */
export const RULES_MAX = 50;
export const RULE_TYPES_MAX = 50;

export interface Notification {
  id: string;
  tenant_id: string;
  rule_id: string;
  /** as it was when the event came */
  rule_name: string;
  event_id: string;
  event_type: string;
  subject: string;
  /** of the event */
  created_at: Date;
  read_at: Date | null;
}

/** As the API shows it, and as it is pushed. */
export function toNotificationBody(notification: Notification) {
  const { id, tenant_id, rule_id, rule_name, event_id, event_type, subject } = notification;
  return {
    id,
    object: 'notification' as const,
    tenant_id,
    rule_id,
    rule_name,
    event_id,
    event_type,
    subject,
    read_at: notification.read_at,
    created_at: notification.created_at,
  };
}

/** Realtime only, to the tenant's topic: it is no event, so that no rule makes a notification of a notification. */
export function notificationPublication(notification: Notification): Publication {
  return {
    eventId: notification.id,
    type: NOTIFICATION_CREATED,
    payload: JSON.stringify({
      id: notification.id,
      type: NOTIFICATION_CREATED,
      timestamp: notification.created_at,
      data: toNotificationBody(notification),
    }),
    targets: [{ topic: topicFor.tenant(notification.tenant_id), final: false }],
  };
}
