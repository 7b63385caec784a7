/** `/v1/event-types`: what Millrace tells, and what a tenant has described of its own. */
import { z } from 'zod';
import { builtInTypes, type BuiltInType } from '../../domain/events/built-in';
import { AppError } from '../../domain/errors';
import { isReserved } from '../../domain/events/event-type';
import { eachField } from '../../domain/json-fields';
import { decodeCursor, toPage } from '../paging';
import { type JsonAnswer, noContent } from '../respond';
import { defineRoute, type Route } from '../route';
import { PAGE_LIMIT_DEFAULT, pageQuery, pageSchema } from '../schema';
import type { EventType, EventTypeStore, SchemaChecker } from './ports';
import { reserved } from './publications';
import { eventTypeName, eventTypePutSchema, eventTypeSchema } from './schema';

export interface EventTypeDeps {
  types: EventTypeStore;
  schemas: Pick<SchemaChecker, 'check'>;
}

const LIST = 'event-types';
const params = z.strictObject({ name: eventTypeName.meta({ description: 'Name of the type' }) });

/** Sorted as PostgreSQL sorts by the codes of characters, which are ASCII here. */
const BUILT_IN: readonly BuiltInType[] = builtInTypes();

export function listEventTypesRoute({ types }: EventTypeDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/event-types',
    operationId: 'listEventTypes',
    summary: 'List event types',
    description: 'By name: what Millrace tells, and what you have described of your own.',
    tags: ['events'],
    scopes: ['events:read'],
    query: z.strictObject(pageQuery),
    responses: { 200: { description: 'A page of event types', schema: pageSchema(eventTypeSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query: { cursor, limit = PAGE_LIMIT_DEFAULT }, principal: { tenantId } }) => {
      const after = cursor === undefined ? undefined : String(decodeCursor(LIST, cursor));
      const own = await types.list({ tenantId, after, limit: limit + 1 });
      const told = BUILT_IN.filter(({ name }) => after === undefined || name > after);
      const rows = [...own.map(ownEntry), ...told.map(toldEntry)].sort((a, b) => (a.name < b.name ? -1 : 1));
      const { data, next_cursor } = toPage(LIST, rows.slice(0, limit + 1), {
        limit,
        positionOf: ({ name }) => name,
      });
      const entries = data.map(({ json }) => json).join(',');
      return answer(200, `{"data":[${entries}],"next_cursor":${JSON.stringify(next_cursor)}}`);
    },
  });
}

export function getEventTypeRoute({ types }: EventTypeDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/event-types/{name}',
    operationId: 'getEventType',
    summary: 'Get an event type',
    tags: ['events'],
    scopes: ['events:read'],
    params,
    responses: { 200: { description: 'The event type', schema: eventTypeSchema } },
    errors: ['not_found'],
    handler: async ({ params: { name }, principal: { tenantId } }) => {
      const told = BUILT_IN.find((type) => type.name === name);
      if (told !== undefined) return answer(200, toldEntry(told).json);
      const own = await types.find(tenantId, name);
      if (own === undefined) throw missing();
      return answer(200, ownEntry(own).json);
    },
  });
}

export function putEventTypeRoute({ types, schemas }: EventTypeDeps): Route {
  return defineRoute({
    method: 'put',
    path: '/v1/event-types/{name}',
    operationId: 'putEventType',
    summary: 'Describe an event type',
    description:
      'Made, or replaced as a whole. What is strict refuses publications that do not fit from then on; what was published before ' +
      'stays as it is.',
    tags: ['events'],
    scopes: ['events:write'],
    params,
    body: eventTypePutSchema,
    bodyExample: {
      description: 'An order was paid',
      schema: { type: 'object', required: ['order'], properties: { order: { type: 'integer' } } },
      strict: true,
    },
    responses: {
      200: { description: 'The event type, replaced', schema: eventTypeSchema },
      201: { description: 'The event type, made', schema: eventTypeSchema },
    },
    errors: ['event_type_reserved', 'invalid_schema', 'too_many_event_types'],
    handler: async ({ params: { name }, body, principal: { tenantId }, ctx }) => {
      if (isReserved(name)) throw reserved('');
      const { description, strict } = body;
      const { bodyBytes } = ctx.state as { bodyBytes: Uint8Array };
      const schema = body.schema === undefined || body.schema === null ? null : schemaText(bodyBytes);
      if (strict && schema === null) throw withoutSchema();
      if (schema !== null) await schemas.check({ tenantId, schema }).catch(atSchema);
      const { type, made } = await types.put({ tenantId, name, description, schema, strict });
      const headers = { Location: `/v1/event-types/${name}` };
      return { ...answer(made ? 201 : 200, ownEntry(type).json), ...(made && { headers }) };
    },
  });
}

export function deleteEventTypeRoute({ types }: EventTypeDeps): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/event-types/{name}',
    operationId: 'deleteEventType',
    summary: 'Forget an event type',
    description: 'Only its description goes: events of the type stay, and may be published on.',
    tags: ['events'],
    scopes: ['events:write'],
    params,
    responses: { 204: { description: 'It is gone' } },
    errors: ['not_found', 'event_type_reserved'],
    handler: async ({ params: { name }, principal: { tenantId } }) => {
      if (isReserved(name)) throw reserved('');
      if (!(await types.remove(tenantId, name))) throw missing();
      return noContent();
    },
  });
}

interface Entry {
  name: string;
  json: string;
}

function ownEntry({ name, description, schema, strict, created_at, updated_at }: EventType): Entry {
  return entry(
    { name, description, strict, built_in: false, realtime_only: false, created_at, updated_at },
    schema,
  );
}

function toldEntry({ name, description, schema, realtimeOnly = false }: BuiltInType): Entry {
  const rest = {
    strict: true,
    built_in: true,
    realtime_only: realtimeOnly,
    created_at: null,
    updated_at: null,
  };
  return entry({ name, description, ...rest }, JSON.stringify(schema));
}

interface ShownType {
  name: string;
  description: string;
  strict: boolean;
  built_in: boolean;
  realtime_only: boolean;
  created_at: Date | null;
  updated_at: Date | null;
}

/** The schema stays the text that it was sent as. */
function entry({ name, ...rest }: ShownType, schema: string | null): Entry {
  const tail = JSON.stringify({ object: 'event_type', ...rest });
  return { name, json: `{"name":${JSON.stringify(name)},"schema":${schema ?? 'null'},${tail.slice(1)}` };
}

function answer(status: number, jsonText: string): JsonAnswer {
  return { kind: 'json', status, jsonText };
}

function missing(): AppError {
  return new AppError('not_found', 'There is no event type of this name.');
}

function withoutSchema(): AppError {
  const detail = 'a strict type needs a schema';
  return new AppError('validation_failed', `/schema: ${detail}`, {
    errors: [{ pointer: '/schema', detail }],
  });
}

function schemaText(body: Uint8Array): string {
  let text = 'null';
  eachField(Buffer.from(body).toString('utf8'), (name, value) => {
    if (name === 'schema') text = value;
  });
  return text;
}

/** A finding of the schema has its place. */
function atSchema(error: unknown): never {
  if (!(error instanceof AppError) || error.code !== 'invalid_schema') throw error;
  const errors = [{ pointer: '/schema', detail: error.detail }];
  throw new AppError('invalid_schema', `/schema: ${error.detail}`, { errors, cause: error });
}
