/** Finds the route of a request. The router only finds: what a route asks for is done by the middleware that follow. */
import { type Middleware } from 'koa';
import Router from '@koa/router';
import { AppError } from '../../domain/errors';
import type { Route } from '../route';
import type { ApiContext, ApiMiddleware, ApiState } from '../state';

export interface RouteMatching {
  /** Sets `state.route` and goes on; on nothing found it goes on without. */
  match: ApiMiddleware;
  /** 404, 405 with Allow, and OPTIONS, for what found no route. */
  refuseUnmatched: ApiMiddleware;
}

export function routeMatching(routes: readonly Route[]): RouteMatching {
  const router = new Router<ApiState>({ sensitive: true });
  for (const route of mostSpecificLast(routes)) {
    router.register(routerPath(route.path), methodsOf(route), async (ctx, next) => {
      ctx.state.route = route;
      ctx.state.rawParams = ctx.params;
      await next();
    });
  }
  return { match: router.routes() as Middleware<ApiState>, refuseUnmatched: refuseUnmatched(router) };
}

function refuseUnmatched(router: Router<ApiState>): ApiMiddleware {
  return async function refuseUnmatched(ctx, next) {
    if (ctx.state.route !== undefined && !isRefusedHead(ctx, ctx.state.route)) {
      await next();
      return;
    }
    const allowed = allowedMethods(router, ctx.path);
    if (allowed.length === 0) throw new AppError('not_found', 'There is nothing at this address.');
    ctx.set('Allow', allowed.join(', '));
    if (ctx.method !== 'OPTIONS') {
      throw new AppError('method_not_allowed', `Allowed here: ${allowed.join(', ')}.`);
    }
    ctx.status = 204;
  };
}

function isRefusedHead(ctx: ApiContext, route: Route): boolean {
  return ctx.method === 'HEAD' && route.head === false;
}

function allowedMethods(router: Router<ApiState>, path: string): string[] {
  const methods = router.match(path, 'GET').path.flatMap((layer) => layer.methods);
  return methods.length === 0 ? [] : [...new Set(methods), 'OPTIONS'].sort();
}

/** The router adds HEAD to each GET by itself. */
function methodsOf(route: Route): string[] {
  return [route.method.toUpperCase()];
}

/** All routes that match run in the order they stand, and the last one sets the route. */
function mostSpecificLast(routes: readonly Route[]): Route[] {
  const parameters = (route: Route): number => route.path.split('{').length;
  return [...routes].sort((a, b) => parameters(b) - parameters(a));
}

function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}
