/** What one request gathers on its way through the middleware list of `app.ts`. */
import type { Middleware, ParameterizedContext } from 'koa';
import type { Principal } from '../domain/key/scopes';
import type { Credential } from './access/ports';
import type { Log, Stores } from './ports';
import type { Answer } from './respond';
import type { Route } from './route';

export interface ApiState {
  /** by request-id */
  requestId: string;
  log: Log;
  /** Of the client, behind the proxies that are trusted: IPv4 or IPv6, without port or zone; empty where it is gone already. */
  clientAddress: string;
  /** Aborts when the client leaves before the answer is done. */
  signal: AbortSignal;
  /** by the URL check: without the query, as it was sent */
  path: string;
  /** by the URL check: parameters of the query, decoded, each once */
  rawQuery: Readonly<Record<string, string>>;
  /** by the router; both stay undefined where nothing matches */
  route?: Route | undefined;
  rawParams?: Record<string, string> | undefined;
  /** by authenticate; undefined on public routes */
  principal?: Principal | undefined;
  credential?: Credential | undefined;
  /** by read-body */
  bodyBytes?: Uint8Array | undefined;
  rawBody?: unknown;
  /** by validate */
  params?: unknown;
  query?: unknown;
  body?: unknown;
  /** by idempotency: the unit of work that stores the answer with the effect */
  transact?: ((work: (stores: Stores) => Promise<Answer>) => Promise<Answer>) | undefined;
  /** by the handler */
  answer?: Answer | undefined;
}

export type ApiContext = ParameterizedContext<ApiState>;
export type ApiMiddleware = Middleware<ApiState>;

/** The route of a request that has passed the router. */
export function matchedRoute(ctx: ApiContext): Route {
  const { route } = ctx.state;
  if (route === undefined) throw new Error('the router has not run');
  return route;
}
