/** Notifications and their rules on the wire. */
import { z } from 'zod';
import { isTypePattern } from '../../domain/events/type-filter';
import { RULE_TYPES_MAX } from '../../domain/notification/notification';
import { idParam, idText, named, pageQuery, pageSchema, timestampSchema } from '../schema';
import type { NotificationRule } from './ports';

const ruleName = z.string().min(1).max(200);
const eventTypes = z
  .array(z.string().refine(isTypePattern, { error: 'expected a type of events, `job.*` or `*`' }))
  .min(1)
  .max(RULE_TYPES_MAX)
  .describe('Exact types, all below a word (`job.*`), or all (`*`)');
const filter = z
  .record(z.string(), z.unknown())
  .nullable()
  .describe('Only events that pass it; null: all of these types. See docs/notifications.md');

export const ruleCreateSchema = named(
  'NotificationRuleCreate',
  z.strictObject({
    name: ruleName,
    event_types: eventTypes,
    filter: filter.optional(),
    enabled: z.boolean().default(true),
  }),
);

export const ruleUpdateSchema = named(
  'NotificationRuleUpdate',
  z.strictObject({
    name: ruleName.optional(),
    event_types: eventTypes.optional(),
    filter: filter.optional(),
    enabled: z.boolean().optional(),
  }),
);

export const ruleSchema = named(
  'NotificationRule',
  z.object({
    id: idText('notificationRule'),
    object: z.literal('notification_rule'),
    tenant_id: idText('tenant'),
    name: z.string(),
    event_types: z.array(z.string()),
    filter: z.record(z.string(), z.unknown()).nullable(),
    enabled: z.boolean(),
    created_at: timestampSchema,
    updated_at: timestampSchema,
  }),
);

export const notificationSchema = named(
  'Notification',
  z.object({
    id: idText('notification'),
    object: z.literal('notification'),
    tenant_id: idText('tenant'),
    rule_id: idText('notificationRule'),
    rule_name: z.string().describe('As it was when the event came'),
    event_id: idText('event'),
    event_type: z.string().meta({ example: 'job.failed' }),
    subject: z.string().describe('What the event is about: e.g. the id of a job; may be empty'),
    read_at: timestampSchema.nullable(),
    created_at: timestampSchema.describe('Of the event'),
  }),
);

export const notificationListQuery = z.strictObject({
  ...pageQuery,
  unread: z
    .enum(['true', 'false'])
    .optional()
    .describe('Only those that were not read, or only those that were'),
});

export const notificationPageSchema = pageSchema(notificationSchema).extend({
  unread_count: z.int().describe('Of all that are unread; 1,000: that many or more'),
});

export const readAllSchema = named(
  'NotificationsReadAll',
  z.strictObject({
    up_to_id: idParam('notification')
      .optional()
      .describe('Newest one that is meant; left out: all that there are'),
  }),
);

export const readAllAnswerSchema = z.object({
  object: z.literal('notifications_read'),
  read: z.int().describe('How many were marked'),
  unread_count: z.int().describe('Of what is unread still, as in the list'),
});

/** By hand: the filter is JSON text, and a detour over values would cost its numbers digits. */
export function toRuleText({
  id,
  tenant_id,
  name,
  event_types,
  filter: text,
  ...rest
}: NotificationRule): string {
  const head = JSON.stringify({ id, object: 'notification_rule', tenant_id, name, event_types });
  const { enabled, created_at, updated_at } = rest;
  const tail = JSON.stringify({ enabled, created_at, updated_at });
  return `${head.slice(0, -1)},"filter":${text ?? 'null'},${tail.slice(1)}`;
}
