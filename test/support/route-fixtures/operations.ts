/** The routes as the OpenAPI document shows them. */
import { type Scope, SCOPES } from '../../../src/domain/key/scopes';
import { openApiJson } from '../../../tools/generate-openapi';
import type { Place, RouteFixture } from './fixture';

export interface Operation {
  id: string;
  method: string;
  /** with `{name}` for parameters */
  path: string;
  asks: RouteFixture['asks'];
  /** of one that asks for a key; all are needed */
  scopes: readonly Scope[];
  success: readonly number[];
  takesIdempotencyKey: boolean;
  pages: boolean;
  /** whether an answer has a field `secret` or `ticket` */
  givesSecret: boolean;
  /** parameters and fields of the body, as `path.id` */
  inputs: readonly Place[];
}

interface Schema {
  $ref?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
}

interface DocumentedOperation {
  operationId: string;
  security?: Record<string, unknown>[];
  'x-required-scopes'?: string[];
  parameters?: { in: string; name: string }[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
  responses: Record<string, { content?: Record<string, { schema?: Schema }> }>;
}

export interface OpenApi {
  paths: Record<string, Record<string, DocumentedOperation>>;
  components: { schemas: Record<string, Schema> };
}

export interface Documented {
  document: OpenApi;
  operations: Operation[];
  /** With their names, for `test.each`. */
  asking(asks: Operation['asks']): [id: string, operation: Operation][];
}

/** As the routes are declared, for tests are named before an API runs. */
export function documented(): Documented {
  const document = JSON.parse(openApiJson()) as OpenApi;
  const operations = operationsOf(document);
  return {
    document,
    operations,
    asking: (asks) => operations.filter((one) => one.asks === asks).map((one) => [one.id, one]),
  };
}

function operationsOf(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) =>
      toOperation(document, { path, method }, operation),
    ),
  );
}

function toOperation(
  document: OpenApi,
  { path, method }: { path: string; method: string },
  operation: DocumentedOperation,
): Operation {
  const { parameters = [], responses, requestBody } = operation;
  // Where it goes on as another protocol, this is as far as an ordinary request gets.
  const success = Object.keys(responses).filter((status) =>
    '101' in responses ? status === '426' : status.startsWith('2'),
  );
  const answered = success.flatMap((status) => Object.values(responses[status]?.content ?? {}));
  const named = (where: string, name: string): boolean =>
    parameters.some((parameter) => parameter.in === where && parameter.name === name);
  return {
    id: operation.operationId,
    method: method.toUpperCase(),
    path,
    asks: whatIsAsked(operation),
    scopes: SCOPES.filter((scope) => operation['x-required-scopes']?.includes(scope)),
    success: success.map(Number),
    takesIdempotencyKey: named('header', 'Idempotency-Key'),
    pages: named('query', 'cursor') && named('query', 'limit'),
    givesSecret: answered.some(({ schema }) => {
      const fields = fieldsOf(document, schema);
      return fields.has('secret') || fields.has('ticket');
    }),
    inputs: [
      ...parameters
        .filter((p) => p.in !== 'header')
        .map((p) => `${p.in as 'path' | 'query'}.${p.name}` as const),
      ...Object.values(requestBody?.content ?? {})
        .flatMap(({ schema }) => [...fieldsOf(document, schema)])
        .map((name) => `body.${name}` as const),
    ],
  };
}

/**
 * A ticket in place of a key is a matter of tests of its own. A route that declares nothing at all counts as one that asks for a
 * key, and fails for its scopes.
 */
function whatIsAsked({ security, operationId }: DocumentedOperation): Operation['asks'] {
  const schemes = (security ?? [{ apiKey: [] }]).flatMap((scheme) => Object.keys(scheme));
  if (schemes.length === 0) return 'nothing';
  const [scheme, ...more] = schemes.filter((one) => one !== 'streamTicket');
  if (more.length === 0 && (scheme === 'apiKey' || scheme === 'chunkToken')) return scheme;
  throw new Error(`${operationId} asks for ${schemes.join(', ')}, which these tests do not know`);
}

/** Names of fields, at whatever depth. */
function fieldsOf(document: OpenApi, schema: Schema | undefined, seen = new Set<Schema>()): Set<string> {
  if (schema === undefined || seen.has(schema)) return new Set();
  seen.add(schema);
  const names = new Set(Object.keys(schema.properties ?? {}));
  for (const part of partsOf(document, schema)) {
    for (const name of fieldsOf(document, part, seen)) names.add(name);
  }
  return names;
}

function partsOf({ components }: OpenApi, schema: Schema): (Schema | undefined)[] {
  const { $ref: ref, items, anyOf = [], oneOf = [], allOf = [], properties = {} } = schema;
  const referred = ref === undefined ? undefined : components.schemas[ref.split('/').at(-1) ?? ''];
  return [referred, items, ...anyOf, ...oneOf, ...allOf, ...Object.values(properties)];
}
