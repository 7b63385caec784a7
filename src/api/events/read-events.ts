/** `GET /v1/events` and `GET /v1/events/{id}`. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { toTypePatterns } from '../../domain/events/type-filter';
import { decodeCursor, encodeCursor } from '../paging';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageSchema } from '../schema';
import { eventJson } from './event-body';
import type { EventReads } from './ports';
import { eventListQuery, eventSchema } from './schema';

export interface ReadEventDeps {
  log: EventReads;
}

export function listEventsRoute({ log }: ReadEventDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/events',
    operationId: 'listEvents',
    summary: 'List events',
    description:
      "Newest first: what Millrace tells and what was published, for as long as the tenant's plan keeps things. A page has at " +
      'most about 4 MB; `next_cursor` says whether there is more.',
    tags: ['events'],
    scopes: ['events:read'],
    query: eventListQuery,
    responses: { 200: { description: 'A page of events', schema: pageSchema(eventSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query, principal: { tenantId } }) => {
      const { cursor, limit = PAGE_LIMIT_DEFAULT, type, subject, since, until } = query;
      const list = `events?${JSON.stringify([type?.toSorted(), subject, since, until])}`;
      const { events, more } = await log.list({
        tenantId,
        types: type && toTypePatterns(type),
        subject,
        since: since === undefined ? undefined : new Date(since),
        until: until === undefined ? undefined : new Date(until),
        after: cursor === undefined ? undefined : positionIn(decodeCursor(list, cursor)),
        limit,
      });
      const last = more ? events.at(-1) : undefined;
      const next = JSON.stringify(last === undefined ? null : encodeCursor(list, last.position));
      const jsonText = `{"data":[${events.map(eventJson).join(',')}],"next_cursor":${next}}`;
      return { kind: 'json', status: 200, jsonText };
    },
  });
}

function positionIn(position: string | number): string {
  const text = String(position);
  if (/^\d{1,18}\.\d{1,18}$/.test(text)) return text;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

export function getEventRoute({ log }: ReadEventDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/events/{id}',
    operationId: 'getEvent',
    summary: 'Get an event',
    tags: ['events'],
    scopes: ['events:read'],
    params: z.strictObject({ id: idParam('event') }),
    responses: { 200: { description: 'The event', schema: eventSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal: { tenantId } }) => {
      const event = await log.find(tenantId, id);
      if (event === undefined) throw new AppError('not_found', 'There is no event with this id.');
      return { kind: 'json', status: 200, jsonText: eventJson(event) };
    },
  });
}
