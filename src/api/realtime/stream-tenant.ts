/** `GET /v1/events/stream`: all that happens to a tenant, as server-sent events. */
import { z } from 'zod';
import { typeFilter } from '../../domain/events/type-filter';
import { defineRoute, type Route } from '../route';
import { type OpenStreamDeps, openStream, startOf } from './open-stream';
import { patternsOf, streamTenantQuery } from './schema';
import { mayFollow, TOPIC_SCOPES } from './topic-name';

const EXAMPLE = [
  ':ok',
  '',
  'retry: 2000',
  'event: ready',
  'id: 1767225600000000',
  'data: {"cursor":1767225600000000}',
  '',
  'event: event',
  'id: 1767225600250000',
  'data: {"id":"evt_01k6z7q0v8e2m9x4t5c3b1a0n7","type":"job.completed","timestamp":"2026-01-01T00:00:00.250Z","data":{"job_id":"job_01k6z7q0v8e2m9x4t5c3b1a0n7"}}',
  '',
].join('\n');

export function streamTenantRoute(deps: OpenStreamDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/events/stream',
    operationId: 'streamEvents',
    summary: 'Follow all that happens',
    description:
      "Server-sent events of the key's tenant. `ready` comes first and says where the stream begins, then each `event` as it " +
      'happens, with the very text that webhooks deliver. With a cursor, what came after it is sent first; a cursor that the ' +
      'log does not know gets `reset`, after which what is shown must be read anew, and `ready`. Each id is a cursor; where ' +
      'nothing that fits `types` came for some seconds, `cursor` brings a newer one.',
    tags: ['events'],
    scopes: TOPIC_SCOPES.tenant,
    takesTicket: true,
    head: false,
    query: streamTenantQuery,
    errors: ['too_many_connections'],
    responses: {
      200: {
        description: 'The stream',
        contentType: 'text/event-stream',
        schema: z.string(),
        example: EXAMPLE,
      },
    },
    handler: async ({ query, principal, credential, ctx }) => {
      const topic = mayFollow({ kind: 'tenant' }, { principal, topics: credential.ticket?.topics });
      const types = query.types === undefined ? undefined : typeFilter(patternsOf(query.types));
      const follow = { start: startOf(ctx, query), types };
      return openStream(deps, ctx, { principal, credential, scopes: TOPIC_SCOPES.tenant, topic, follow });
    },
  });
}
