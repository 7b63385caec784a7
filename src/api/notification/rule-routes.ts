/** `/v1/notification-rules`: which events a tenant wants in its list. */
import { z } from 'zod';
import { compileFilter } from '../../domain/events/filter-jsonpath';
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { jsonAt } from '../../domain/json-slice';
import { RULES_MAX } from '../../domain/notification/notification';
import { decodeCursor, toPage } from '../paging';
import { type JsonAnswer, noContent } from '../respond';
import { type ApiRequest, defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageQuery, pageSchema } from '../schema';
import type { NotificationRule, NotificationRuleStore, RuleFilter } from './ports';
import { ruleCreateSchema, ruleSchema, ruleUpdateSchema, toRuleText } from './schema';

export interface RuleRouteDeps {
  notificationRules: Pick<NotificationRuleStore, 'find' | 'list'>;
  newRuleId(): string;
}

export function ruleRoutes(deps: RuleRouteDeps): Route[] {
  return [createRule(deps), listRules(deps), getRule(deps), updateRule(), deleteRule()];
}

const LIST = 'notification-rules';
const params = z.strictObject({ id: idParam('notificationRule') });
const EXAMPLE = {
  name: 'failed imports',
  event_types: ['job.failed', 'job.completed_with_errors'],
  filter: { data: { metadata: { team: 'imports' }, counts: { failed: { $gte: 10 } } } },
};

function createRule(deps: RuleRouteDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/notification-rules',
    operationId: 'createNotificationRule',
    summary: 'Create a notification rule',
    description:
      'From now on each event of these types that passes the filter makes one entry in `GET /v1/notifications`, and is pushed as ' +
      `\`notification.created\` on the tenant's streams. A tenant has at most ${RULES_MAX} rules.`,
    tags: ['notifications'],
    scopes: ['events:write'],
    idempotent: true,
    body: ruleCreateSchema,
    bodyExample: EXAMPLE,
    responses: { 201: { description: 'The rule', schema: ruleSchema } },
    errors: ['invalid_filter', 'too_many_rules'],
    handler: ({ body, principal, transact, ctx }) => {
      const rule = {
        tenantId: principal.tenantId,
        ruleId: deps.newRuleId(),
        name: body.name,
        eventTypes: body.event_types,
        filter: filterIn(body, ctx) ?? null,
        enabled: body.enabled,
      };
      return transact(async (stores) => {
        const made = await stores.notificationRules.insert(rule);
        return { ...answer(made), status: 201, headers: { Location: `/v1/notification-rules/${made.id}` } };
      });
    },
  });
}

function listRules({ notificationRules }: RuleRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/notification-rules',
    operationId: 'listNotificationRules',
    summary: 'List notification rules',
    description: 'Newest first.',
    tags: ['notifications'],
    scopes: ['events:read'],
    query: z.strictObject(pageQuery),
    responses: { 200: { description: 'A page of rules', schema: pageSchema(ruleSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query, principal }) => {
      const { cursor, limit = PAGE_LIMIT_DEFAULT } = query;
      const after = cursor === undefined ? undefined : ruleIdIn(decodeCursor(LIST, cursor));
      const rows = await notificationRules.list({ tenantId: principal.tenantId, after, limit: limit + 1 });
      const { data, next_cursor } = toPage(LIST, rows, { limit, positionOf: ({ id }) => id });
      const jsonText = `{"data":[${data.map(toRuleText).join(',')}],"next_cursor":${JSON.stringify(next_cursor)}}`;
      return { kind: 'json', status: 200, jsonText };
    },
  });
}

function ruleIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('notificationRule', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

function getRule({ notificationRules }: RuleRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/notification-rules/{id}',
    operationId: 'getNotificationRule',
    summary: 'Get a notification rule',
    tags: ['notifications'],
    scopes: ['events:read'],
    params,
    responses: { 200: { description: 'The rule', schema: ruleSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal: { tenantId } }) =>
      answer(await notificationRules.find({ tenantId, ruleId: id })),
  });
}

function updateRule(): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/notification-rules/{id}',
    operationId: 'updateNotificationRule',
    summary: 'Change a notification rule',
    description: 'What is left out stays as it is. For events that come from now on.',
    tags: ['notifications'],
    scopes: ['events:write'],
    params,
    body: ruleUpdateSchema,
    bodyExample: { enabled: false },
    responses: { 200: { description: 'The rule as it is now', schema: ruleSchema } },
    errors: ['not_found', 'invalid_filter'],
    handler: ({ params: { id }, body, principal: { tenantId }, transact, ctx }) => {
      const { name, event_types: eventTypes, enabled } = body;
      const change = { name, eventTypes, enabled, filter: filterIn(body, ctx) };
      return transact(async (stores) =>
        answer(await stores.notificationRules.update({ tenantId, ruleId: id }, change)),
      );
    },
  });
}

function deleteRule(): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/notification-rules/{id}',
    operationId: 'deleteNotificationRule',
    summary: 'Delete a notification rule',
    description: 'The notifications that it has made stay.',
    tags: ['notifications'],
    scopes: ['events:write'],
    params,
    responses: { 204: { description: 'The rule is gone' } },
    errors: ['not_found'],
    handler: ({ params: { id }, principal: { tenantId }, transact }) =>
      transact(async (stores) => {
        await stores.notificationRules.remove({ tenantId, ruleId: id });
        return noContent();
      }),
  });
}

/**
 * The filter of the body by its exact text; undefined where the body has none.
 * @throws AppError `invalid_filter`
 */
function filterIn(
  { filter }: { filter?: unknown },
  { state }: ApiRequest<unknown, unknown, unknown, unknown>['ctx'],
): RuleFilter | null | undefined {
  if (filter === undefined || filter === null) return filter;
  const { bodyBytes } = state as { bodyBytes: Uint8Array };
  const text = jsonAt(Buffer.from(bodyBytes).toString('utf8'), ['filter']) ?? '';
  return { text, predicate: compileFilter(text) };
}

function answer(rule: NotificationRule): JsonAnswer {
  return { kind: 'json', status: 200, jsonText: toRuleText(rule) };
}
