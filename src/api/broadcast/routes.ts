/** `/v1/broadcasts`: one event to every tenant. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { isEventType } from '../../domain/events/event-type';
import { BROADCAST_PREFIX } from '../../domain/events/lifecycle';
import { tryDecodeId } from '../../domain/ids';
import { dataText, isLarger, tooLarge } from '../events/publications';
import { DATA_BYTES_MAX } from '../events/schema';
import { decodeCursor, toPage } from '../paging';
import { defineRoute, type Route } from '../route';
import {
  idParam,
  idText,
  named,
  PAGE_LIMIT_DEFAULT,
  pageQuery,
  pageSchema,
  timestampSchema,
} from '../schema';
import type { Broadcast, BroadcastStore } from './ports';

export interface BroadcastRouteDeps {
  broadcasts: Pick<BroadcastStore, 'find' | 'list'>;
  newBroadcastId(): string;
}

export function broadcastRoutes(deps: BroadcastRouteDeps): Route[] {
  return [createBroadcast(deps), listBroadcasts(deps), getBroadcast(deps)];
}

const LIST = 'broadcasts';
const TYPE_LENGTH_MAX = 128;

const broadcastCreateSchema = named(
  'BroadcastCreate',
  z.strictObject({
    type: z
      .string()
      .max(TYPE_LENGTH_MAX)
      .refine((type) => type.startsWith(BROADCAST_PREFIX) && isEventType(type), {
        error: `expected a type that begins with ${BROADCAST_PREFIX}`,
      })
      .meta({ example: 'system.maintenance' }),
    data: z
      .unknown()
      .refine((value) => value !== undefined, { error: 'is needed' })
      .describe('Any JSON, up to 256 KB'),
  }),
);

const broadcastSchema = named(
  'Broadcast',
  z.object({
    id: idText('broadcast'),
    object: z.literal('broadcast'),
    type: z.string(),
    data: z.unknown(),
    status: z.enum(['sending', 'sent']),
    tenants: z.int().describe('That have it'),
    created_at: timestampSchema,
    ended_at: timestampSchema.nullable(),
  }),
);

function createBroadcast({ newBroadcastId }: BroadcastRouteDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/broadcasts',
    operationId: 'createBroadcast',
    summary: 'Tell all tenants',
    description:
      'An event of its own for each tenant that there is now: on its streams, in its log, for its rules and receivers. It is ' +
      'sent in the background, to each of them once.',
    tags: ['events'],
    scopes: ['admin'],
    idempotent: true,
    body: broadcastCreateSchema,
    bodyExample: { type: 'system.maintenance', data: { begins_at: '2030-01-01T22:00:00Z', minutes: 30 } },
    responses: {
      202: {
        description: 'It is being sent',
        schema: broadcastSchema,
        headers: { Location: 'Address of the broadcast' },
      },
    },
    errors: ['event_too_large'],
    handler: ({ body: { type }, ctx, transact }) => {
      const { bodyBytes } = ctx.state as { bodyBytes: Uint8Array };
      const data = dataText(Buffer.from(bodyBytes).toString('utf8'));
      if (isLarger(data, DATA_BYTES_MAX)) throw tooLarge('/data');
      return transact(async ({ broadcasts }) => {
        const made = await broadcasts.insert({ id: newBroadcastId(), type, data });
        const headers = { Location: `/v1/broadcasts/${made.id}` };
        return { kind: 'json', status: 202, jsonText: broadcastJson(made), headers };
      });
    },
  });
}

function listBroadcasts({ broadcasts }: BroadcastRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/broadcasts',
    operationId: 'listBroadcasts',
    summary: 'List broadcasts',
    description: 'Newest first.',
    tags: ['events'],
    scopes: ['admin'],
    query: z.strictObject(pageQuery),
    responses: { 200: { description: 'A page of broadcasts', schema: pageSchema(broadcastSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query: { cursor, limit = PAGE_LIMIT_DEFAULT } }) => {
      const after = cursor === undefined ? undefined : broadcastIdIn(decodeCursor(LIST, cursor));
      const rows = await broadcasts.list({ after, limit: limit + 1 });
      const { data, next_cursor } = toPage(LIST, rows, { limit, positionOf: ({ id }) => id });
      const entries = data.map(broadcastJson).join(',');
      const jsonText = `{"data":[${entries}],"next_cursor":${JSON.stringify(next_cursor)}}`;
      return { kind: 'json', status: 200, jsonText };
    },
  });
}

function broadcastIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('broadcast', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

function getBroadcast({ broadcasts }: BroadcastRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/broadcasts/{id}',
    operationId: 'getBroadcast',
    summary: 'Get a broadcast',
    tags: ['events'],
    scopes: ['admin'],
    params: z.strictObject({ id: idParam('broadcast') }),
    responses: { 200: { description: 'The broadcast', schema: broadcastSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id } }) => {
      const found = await broadcasts.find(id);
      if (found === undefined) throw new AppError('not_found', 'There is no broadcast with this id.');
      return { kind: 'json', status: 200, jsonText: broadcastJson(found) };
    },
  });
}

/** `data` stays the very text that was sent. */
function broadcastJson({ id, type, data, tenants, created_at, ended_at }: Broadcast): string {
  const head = JSON.stringify({ id, object: 'broadcast', type });
  const status = ended_at === null ? 'sending' : 'sent';
  const tail = JSON.stringify({ status, tenants, created_at, ended_at });
  return `${head.slice(0, -1)},"data":${data},${tail.slice(1)}`;
}
