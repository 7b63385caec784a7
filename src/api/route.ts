/**
 * The route helper: one declaration validates, registers and documents a route.
 *
 *   defineRoute({
 *     method: 'get', path: '/v1/jobs/{id}', operationId: 'getJob', summary: 'Get a job', tags: ['jobs'],
 *     scopes: ['jobs:read'], params: z.strictObject({ id: idParam('job') }), errors: ['not_found'],
 *     responses: { 200: { description: 'The job', schema: jobSchema } },
 *     handler: async ({ params, principal }) => ok(toJobBody(await jobs.find({ … }))),
 *   })
 */
import type { Context } from 'koa';
import type { ZodObject, ZodType, z } from 'zod';
import type { ErrorCode } from '../domain/errors';
import { type Principal, type Scope, SCOPES } from '../domain/key/scopes';
import type { Credential } from './access/ports';
import type { Log, Stores } from './ports';
import type { Answer } from './respond';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

export interface ResponseSpec {
  description: string;
  /** of a JSON body, or of one line where `contentType` is NDJSON */
  schema?: ZodType | undefined;
  /** one or more media types; default `application/json` where there is a schema */
  contentType?: string | readonly string[] | undefined;
  /** name to description */
  headers?: Readonly<Record<string, string>> | undefined;
  example?: unknown;
}

export interface ApiRequest<Params, Query, Body, Who> {
  params: Params;
  query: Query;
  body: Body;
  /** undefined only on a `public` route */
  principal: Who;
  /** By what the request was let in; undefined only on a `public` route. */
  credential: Who extends Principal ? Credential : Credential | undefined;
  requestId: string;
  /** carries request id, tenant and key */
  log: Log;
  /** Aborts when the client leaves before the answer is done. */
  signal: AbortSignal;
  /**
   * The unit of work. `work` gets stores bound to one transaction and returns the answer; on an `idempotent` route that answer
   * is stored in the same transaction, so effect and answer stand or fall together. Call it once; what must follow the commit
   * (waking Temporal) comes after it. Without an Idempotency-Key it is just the transaction.
   */
  transact(work: (stores: Stores) => Promise<Answer>): Promise<Answer>;
  /** For streams: `ctx.req` is the raw request on a `rawBody` route. Prefer returning an Answer over writing to it. */
  ctx: Context;
}

interface Documented {
  method: Method;
  /** with `{name}` for parameters: `/v1/jobs/{id}` */
  path: string;
  operationId: string;
  summary: string;
  description?: string | undefined;
  tags: readonly string[];
  /** Media types of a body the handler reads itself from `ctx.req`; others are 415. It has no size limit from here. */
  rawBody?: readonly string[] | undefined;
  /** Statuses to what they mean; problems are documented by `errors`. */
  responses: Readonly<Record<number, ResponseSpec>>;
  /** Codes particular to the route; those of authentication, parsing and validation are added by themselves. */
  errors?: readonly ErrorCode[] | undefined;
  /** Takes Idempotency-Key: the first answer is given again. Only for POST. */
  idempotent?: boolean | undefined;
  /** The answer holds a secret: what is kept for Idempotency-Key is encrypted. */
  secretAnswer?: boolean | undefined;
  /** GET only: false refuses HEAD (405), for streams that never end. Default true. */
  head?: boolean | undefined;
  /** What a request costs of the limits on requests; default 1. */
  cost?: number | undefined;
  /** Bytes a JSON body may have; default 1 MiB. */
  bodyBytesMax?: number | undefined;
  /** An example of the JSON body, for the documentation. */
  bodyExample?: unknown;
  /** Headers that the route reads, name to description. */
  requestHeaders?: Readonly<Record<string, string>> | undefined;
  /** Of a public route whose handler itself checks who asks: by what. */
  bearer?: 'chunkToken' | undefined;
  /** Of a stream: lets in by `?ticket=` too, which the handler does not see in its query. */
  takesTicket?: boolean | undefined;
  /** A GET that may go on as another protocol: its response is then an `UpgradeResponse`. */
  upgrade?: 'websocket' | undefined;
  /** Leaves the route out of the OpenAPI document (pages for people). */
  hidden?: boolean | undefined;
}

type Out<S extends ZodType | undefined> = S extends ZodType ? z.output<S> : undefined;
type WhoFor<S> = S extends 'public' ? Principal | undefined : Principal;

export interface RouteSpec<
  P extends ZodObject | undefined,
  Q extends ZodObject | undefined,
  B extends ZodType | undefined,
  S extends readonly Scope[] | 'public',
> extends Documented {
  /** All are needed; `admin` satisfies each. `[]`: any valid key. `'public'`: no key. */
  scopes: S;
  /** One that doesn't fit is a 404. */
  params?: P | undefined;
  /** Strict objects: unknown parameters are refused. Values are text; a parameter given twice is refused. */
  query?: Q | undefined;
  /** Of a JSON body; use strict objects, so that unknown fields are refused. */
  body?: B | undefined;
  handler(request: ApiRequest<Out<P>, Out<Q>, Out<B>, WhoFor<S>>): Promise<Answer>;
}

/** A route whose types are forgotten: what the application registers and documents. */
export interface Route extends Documented {
  scopes: readonly Scope[] | 'public';
  params?: ZodObject | undefined;
  query?: ZodObject | undefined;
  body?: ZodType | undefined;
  handler(request: ApiRequest<unknown, unknown, unknown, Principal | undefined>): Promise<Answer>;
}

export function defineRoute<
  const S extends readonly Scope[] | 'public',
  P extends ZodObject | undefined = undefined,
  Q extends ZodObject | undefined = undefined,
  B extends ZodType | undefined = undefined,
>(spec: RouteSpec<P, Q, B, S>): Route {
  if (!saysWhoMayAsk(spec.scopes)) {
    throw new TypeError(`${spec.operationId}: scopes must say who may ask`);
  }
  if (spec.idempotent === true && spec.method !== 'post') {
    throw new TypeError(`${spec.operationId}: only a POST takes an Idempotency-Key`);
  }
  if (spec.body !== undefined && spec.rawBody !== undefined) {
    throw new TypeError(`${spec.operationId}: a body is either validated or raw`);
  }
  // The request is validated by the very schemas that typed the handler, so forgetting the types here is sound.
  return spec;
}

/** Also where no compiler has looked: what is open to everybody says so. */
function saysWhoMayAsk(scopes: unknown): boolean {
  const known: readonly unknown[] = SCOPES;
  return scopes === 'public' || (Array.isArray(scopes) && scopes.every((scope) => known.includes(scope)));
}

const METHODS_WITH_BODY: readonly Method[] = ['post', 'put', 'patch'];

/** Whether a body is read as JSON: also where none is declared, since an unknown one must be refused and not ignored. */
export function takesJson(route: Route): boolean {
  if (route.rawBody !== undefined) return false;
  return route.body !== undefined || METHODS_WITH_BODY.includes(route.method);
}
