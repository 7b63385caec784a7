/** Finds the route of a request. The router only finds: what a route asks for is done by the middleware that follow. */
import Router, { type Layer } from '@koa/router';
import { AppError } from '../../domain/errors';
import { noContent } from '../respond';
import type { Route } from '../route';
import type { ApiContext, ApiMiddleware, ApiState } from '../state';

const SLASH = 0x2f;

export interface RouteMatching {
  /** Sets `state.route` and goes on; on nothing found it goes on without. */
  match: ApiMiddleware;
  /** 404, 405 with Allow, and OPTIONS, for what found no route. */
  refuseUnmatched: ApiMiddleware;
}

interface Entry {
  route: Route;
  pattern: RegExp;
  /** of the parameters, as they stand in the pattern */
  names: readonly string[];
  /** of the path, up to its first parameter */
  start: string;
}

const NONE: readonly Entry[] = [];

/** By method and number of segments: each request has but a few patterns to be held against. */
type Index = Map<string, Entry[][]>;

export function routeMatching(routes: readonly Route[]): RouteMatching {
  const router = new Router<ApiState>({ sensitive: true });
  const index: Index = new Map();
  for (const route of mostSpecificFirst(routes)) {
    // One path makes one layer.
    const layer = router.register(
      routerPath(route.path),
      [route.method.toUpperCase()],
      () => undefined,
    ) as Layer<ApiState>;
    const names = layer.paramNames.map(({ name }) => name);
    const entry = { route, pattern: layer.regexp, names, start: route.path.split('{', 1)[0] ?? '' };
    // The router adds HEAD to each GET by itself.
    for (const method of layer.methods) {
      const shelves = index.get(method) ?? [];
      index.set(method, shelves);
      (shelves[segmentsOf(route.path)] ??= []).push(entry);
    }
  }
  return { match: match(index), refuseUnmatched: refuseUnmatched(router) };
}

function match(index: Index): ApiMiddleware {
  return function match(ctx, next) {
    const { state } = ctx;
    const { path } = state;
    for (const { route, pattern, names, start } of index.get(ctx.method)?.[segmentsOf(path)] ?? NONE) {
      if (!path.startsWith(start)) continue;
      const found = pattern.exec(path);
      if (found === null) continue;
      state.route = route;
      state.rawParams = paramsOf(names, found);
      break;
    }
    return next();
  };
}

/** Of a path that can be decoded. */
function paramsOf(names: readonly string[], found: RegExpExecArray): Record<string, string> {
  const params: Record<string, string> = {};
  for (const [at, name] of names.entries()) {
    const text = found[at + 1] ?? '';
    params[name] = text.includes('%') ? decodeURIComponent(text) : text;
  }
  return params;
}

/** Slashes but for one at the end, which the router takes as none. */
function segmentsOf(path: string): number {
  let slashes = 0;
  const end = path.length - 1;
  for (let at = 0; at < end; at++) if (path.charCodeAt(at) === SLASH) slashes++;
  return slashes;
}

function refuseUnmatched(router: Router<ApiState>): ApiMiddleware {
  return function refuseUnmatched(ctx, next) {
    if (ctx.state.route !== undefined && !isRefusedHead(ctx, ctx.state.route)) return next();
    const allowed = allowedMethods(router, ctx.path);
    if (allowed.length === 0) throw new AppError('not_found', 'There is nothing at this address.');
    ctx.set('Allow', allowed.join(', '));
    if (ctx.method !== 'OPTIONS') {
      throw new AppError('method_not_allowed', `Allowed here: ${allowed.join(', ')}.`);
    }
    ctx.state.answer = noContent();
    return undefined;
  };
}

function isRefusedHead(ctx: ApiContext, route: Route): boolean {
  return ctx.method === 'HEAD' && route.head === false;
}

function allowedMethods(router: Router<ApiState>, path: string): string[] {
  const methods = router.match(path, 'GET').path.flatMap((layer) => layer.methods);
  return methods.length === 0 ? [] : [...new Set(methods), 'OPTIONS'].sort();
}

/** The first that matches is taken; of two with as many parameters it is the one that stands later in the table. */
function mostSpecificFirst(routes: readonly Route[]): Route[] {
  const parameters = (route: Route): number => route.path.split('{').length;
  return [...routes].reverse().sort((a, b) => parameters(a) - parameters(b));
}

function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}
