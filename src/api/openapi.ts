/** The OpenAPI 3.1 document of a table of routes. */
import {
  OpenAPIRegistry,
  OpenApiGeneratorV31,
  type ResponseConfig,
  type RouteConfig,
  type ZodMediaTypeObject,
} from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { ERROR_CATALOG, type ErrorCode } from '../domain/errors';
import { RATE_LIMIT, RATE_LIMIT_POLICY, RATE_LIMIT_REVISION } from '../domain/limit/rate-limit-fields';
import { PROBLEM_MEDIA_TYPE } from './problem';
import { type ResponseSpec, type Route, takesJson } from './route';
import { problemSchema } from './schema';

export type OpenApiDocument = ReturnType<OpenApiGeneratorV31['generateDocument']>;

const SECURITY_SCHEME = 'apiKey';
const TICKET_SCHEME = 'streamTicket';
/** On every answer to a key whose plan has limits. */
const LIMIT_HEADERS = {
  [RATE_LIMIT_POLICY]: `The limits that hold: \`"minute";q=60;w=60,"day";q=5000;w=86400\` (${RATE_LIMIT_REVISION})`,
  [RATE_LIMIT]: 'What is left of each: at most `r` more within the next `t` seconds: `"minute";r=59;t=60`',
};
const RETRY_HEADER = { 'Retry-After': 'Seconds to wait before the next try' };
const ABOUT =
  'Batches of a thousand or a million items: upload them, name a handler, and follow live progress, per-item results and a ' +
  'summary.\n\nErrors are problem details (RFC 9457); `code` is one of the catalogue in `/problems`. Every POST that creates ' +
  'or triggers takes an `Idempotency-Key`. Ids sort by the time they were made; times are RFC 3339 in UTC.';

export function buildOpenApi(routes: readonly Route[], version: string): OpenApiDocument {
  const registry = new OpenAPIRegistry();
  registry.registerComponent('securitySchemes', SECURITY_SCHEME, {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'mrk_ and 36 characters',
    description: 'An API key: `Authorization: Bearer mrk_…`',
  });
  registry.registerComponent('securitySchemes', TICKET_SCHEME, {
    type: 'apiKey',
    in: 'query',
    name: 'ticket',
    description: 'In place of a key, for one stream: a ticket of `POST /v1/stream-tickets`',
  });
  registry.registerComponent('securitySchemes', 'chunkToken', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'mct_ and 114 characters',
    description: 'The token that a worker in another language is lent a chunk with',
  });
  for (const route of routes) if (route.hidden !== true) registry.registerPath(toOperation(route));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: { title: 'Millrace', version, description: ABOUT, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '/' }],
  });
}

function toOperation(route: Route): RouteConfig {
  const { scopes } = route;
  return {
    method: route.method,
    path: route.path,
    operationId: route.operationId,
    summary: route.summary,
    description: describe(route),
    tags: [...route.tags],
    ...(scopes === 'public'
      ? { security: route.bearer === undefined ? [] : [{ [route.bearer]: [] }] }
      : {
          security: [
            { [SECURITY_SCHEME]: [] },
            ...(route.takesTicket === true ? [{ [TICKET_SCHEME]: [] }] : []),
          ],
          'x-required-scopes': [...scopes],
          'x-cost': route.cost ?? 1,
        }),
    request: toRequest(route),
    responses: { ...problemResponses(route), ...successResponses(route) },
  };
}

function describe(route: Route): string {
  const { description, cost = 1 } = route;
  const costs = cost === 1 ? '' : ` Costs as much as ${cost} requests.`;
  const needs = `Needs ${needOf(route)}.${costs}`;
  return description === undefined ? needs : `${description}\n\n${needs}`;
}

function needOf({ scopes, bearer, takesTicket }: Route): string {
  if (scopes === 'public') return bearer === undefined ? 'no API key' : 'the token of the chunk';
  const named = scopes.map((s) => `\`${s}\``).join(', ');
  const need = scopes.length === 0 ? 'an API key' : `the scope ${named}`;
  return takesTicket === true ? `${need}, or a ticket that has it` : need;
}

function toRequest(route: Route): NonNullable<RouteConfig['request']> {
  const content = requestContent(route);
  return {
    ...(route.params === undefined ? {} : { params: route.params }),
    ...(route.query === undefined ? {} : { query: route.query }),
    ...requestHeaders(route),
    ...(content === undefined ? {} : { body: { content, required: isBodyNeeded(route) } }),
  };
}

function requestHeaders(route: Route) {
  if (route.idempotent === true) return { headers: idempotencyHeader() };
  if (route.requestHeaders === undefined) return {};
  const named = Object.entries(route.requestHeaders).map(([name, about]) => [
    name,
    z.string().optional().describe(about),
  ]);
  return { headers: z.object(Object.fromEntries(named) as Record<string, z.ZodType>) };
}

function idempotencyHeader() {
  const about =
    'Makes repeating safe: for a day, the same key with the same request gives the first answer again (with ' +
    '`Idempotency-Replayed: true`); with another request 422; while the first still runs 409.';
  return z.object({ 'Idempotency-Key': z.string().min(1).max(255).optional().describe(about) });
}

function requestContent(route: Route): Record<string, ZodMediaTypeObject> | undefined {
  if (route.rawBody !== undefined) {
    return Object.fromEntries(route.rawBody.map((type) => [type, { schema: { type: 'string' as const } }]));
  }
  if (route.body === undefined) return undefined;
  const example = route.bodyExample === undefined ? {} : { example: route.bodyExample };
  return { 'application/json': { schema: route.body, ...example } };
}

function isBodyNeeded(route: Route): boolean {
  return route.rawBody !== undefined || route.body?.safeParse(undefined).success === false;
}

function successResponses(route: Route): Record<string, ResponseConfig> {
  return Object.fromEntries(
    Object.entries(route.responses).map(([status, spec]) => [status, toResponse(route, status, spec)]),
  );
}

function toResponse(route: Route, status: string, spec: ResponseSpec): ResponseConfig {
  const headers = headersOf(route, status, spec);
  const content = contentOf(spec);
  return {
    description: spec.description,
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(content === undefined ? {} : { content }),
  };
}

function headersOf(route: Route, status: string, spec: ResponseSpec) {
  const location = { Location: 'Address of what was created' };
  const replayed = { 'Idempotency-Replayed': '`true` where this is the first answer, given again' };
  const all = {
    ...(status === '201' ? location : {}),
    ...spec.headers,
    ...(route.idempotent === true ? replayed : {}),
    ...(route.scopes === 'public' || status.startsWith('3') ? {} : LIMIT_HEADERS),
  };
  return toHeaders(all);
}

function toHeaders(described: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(described).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' as const } },
    ]),
  );
}

function contentOf(spec: ResponseSpec): Record<string, ZodMediaTypeObject> | undefined {
  const { schema, contentType, example } = spec;
  if (schema === undefined && contentType === undefined) return undefined;
  const types = [contentType ?? 'application/json'].flat();
  const media = {
    schema: schema ?? { type: 'string' as const },
    ...(example === undefined ? {} : { example }),
  };
  return Object.fromEntries(types.map((type) => [type, media]));
}

function problemResponses(route: Route): Record<string, ResponseConfig> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of errorsOf(route)) {
    const { status } = ERROR_CATALOG[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.map((code) => `\`${code}\`: ${ERROR_CATALOG[code].title}`).join('. \n'),
        ...(codes.includes('rate_limited')
          ? { headers: toHeaders({ ...RETRY_HEADER, ...LIMIT_HEADERS }) }
          : {}),
        content: { [PROBLEM_MEDIA_TYPE]: { schema: problemSchema } },
      },
    ]),
  );
}

/** What a route may answer besides its own errors follows from what it declares. */
export function errorsOf(route: Route): ErrorCode[] {
  const codes: ErrorCode[] = ['malformed_request', 'not_storable', 'validation_failed', 'internal'];
  const { scopes } = route;
  if (scopes !== 'public') {
    codes.push('rate_limited', 'unauthenticated', 'key_expired', 'key_revoked', 'address_not_allowed');
    codes.push('too_many_failures', 'dependency_unavailable');
    if (route.takesTicket === true) codes.push('invalid_ticket', 'too_many_connections', 'at_capacity');
    if (scopes.length > 0) codes.push('missing_scope');
  }
  if (route.params !== undefined) codes.push('not_found');
  if (takesJson(route)) codes.push('malformed_json', 'body_too_large', 'request_too_slow');
  if (takesJson(route) || route.rawBody !== undefined) codes.push('unsupported_media_type');
  if (route.idempotent === true) codes.push('idempotency_in_progress', 'idempotency_mismatch');
  return [...new Set([...codes, ...(route.errors ?? [])])];
}
