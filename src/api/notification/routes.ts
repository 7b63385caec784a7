/** `/v1/notifications`: what the rules of a tenant have made of its events, with its read state. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { toNotificationBody } from '../../domain/notification/notification';
import { decodeCursor, toPage } from '../paging';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT } from '../schema';
import type { NotificationStore } from './ports';
import { type RuleRouteDeps, ruleRoutes } from './rule-routes';
import {
  notificationListQuery,
  notificationPageSchema,
  notificationSchema,
  readAllAnswerSchema,
  readAllSchema,
} from './schema';

export interface NotificationRouteDeps extends RuleRouteDeps {
  notifications: Pick<NotificationStore, 'find' | 'list' | 'unread'>;
}

export function notificationRoutes(deps: NotificationRouteDeps): Route[] {
  return [listNotifications(deps), getNotification(deps), readNotification(), readAll(), ...ruleRoutes(deps)];
}

const params = z.strictObject({ id: idParam('notification') });

function listNotifications({ notifications }: NotificationRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/notifications',
    operationId: 'listNotifications',
    summary: 'List notifications',
    description: 'Newest first. They are kept as long as the plan keeps jobs.',
    tags: ['notifications'],
    scopes: ['events:read'],
    query: notificationListQuery,
    responses: { 200: { description: 'A page of notifications', schema: notificationPageSchema } },
    errors: ['malformed_cursor'],
    handler: async ({ query, principal: { tenantId } }) => {
      const { cursor, unread, limit = PAGE_LIMIT_DEFAULT } = query;
      const list = `notifications?unread=${unread ?? ''}`;
      const after = cursor === undefined ? undefined : notificationIdIn(decodeCursor(list, cursor));
      const read = unread === undefined ? undefined : unread === 'false';
      const [rows, unreadCount] = await Promise.all([
        notifications.list({ tenantId, read, after, limit: limit + 1 }),
        notifications.unread(tenantId),
      ]);
      const { data, next_cursor } = toPage(list, rows, { limit, positionOf: ({ id }) => id });
      return ok({ data: data.map(toNotificationBody), next_cursor, unread_count: unreadCount });
    },
  });
}

function notificationIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('notification', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

function getNotification({ notifications }: NotificationRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/notifications/{id}',
    operationId: 'getNotification',
    summary: 'Get a notification',
    tags: ['notifications'],
    scopes: ['events:read'],
    params,
    responses: { 200: { description: 'The notification', schema: notificationSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal: { tenantId } }) =>
      ok(toNotificationBody(await notifications.find({ tenantId, notificationId: id }))),
  });
}

function readNotification(): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/notifications/{id}/read',
    operationId: 'readNotification',
    summary: 'Mark a notification as read',
    description: 'For everybody of the tenant. Again changes nothing.',
    tags: ['notifications'],
    scopes: ['events:write'],
    idempotent: true,
    params,
    responses: { 200: { description: 'The notification as it is now', schema: notificationSchema } },
    errors: ['not_found'],
    handler: ({ params: { id }, principal: { tenantId }, transact }) =>
      transact(async (stores) =>
        ok(toNotificationBody(await stores.notifications.read({ tenantId, notificationId: id }))),
      ),
  });
}

function readAll(): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/notifications/read-all',
    operationId: 'readAllNotifications',
    summary: 'Mark notifications as read',
    description:
      'All, or those up to the newest one that was looked at: `{"up_to_id": "ntf_…"}`. At most 50,000 at once, the oldest ones; ' +
      '`unread_count` says whether to ask again.',
    tags: ['notifications'],
    scopes: ['events:write'],
    idempotent: true,
    body: readAllSchema,
    bodyExample: {},
    responses: { 200: { description: 'How many were marked', schema: readAllAnswerSchema } },
    errors: ['not_found'],
    handler: ({ body: { up_to_id: upTo }, principal: { tenantId }, transact }) =>
      transact(async ({ notifications }) => {
        if (upTo !== undefined) await notifications.find({ tenantId, notificationId: upTo });
        const read = await notifications.readAll(tenantId, upTo);
        return ok({ object: 'notifications_read', read, unread_count: await notifications.unread(tenantId) });
      }),
  });
}
