/**
 * Koa, but for the way a request goes through its list. Koa's own listens on socket and response of each request to hear of
 * their ends, which the access log does anyway, and looks for a body to write, which ours have written by then: a twentieth of
 * a small request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import Koa from 'koa';
import type { ApiContext, ApiMiddleware, ApiState } from './state';

/** Whoever answers writes on `ctx.res` and ends it; `ctx.body` is nothing that anyone looks at. */
export class Application extends Koa<ApiState> {
  override callback(): ReturnType<Koa['callback']> {
    const run = chain(this.middleware);
    return (req, res) => {
      // Until somebody has an answer.
      res.statusCode = 404;
      // Nobody listens for HTTP/2.
      const ctx = this.createContext<ApiState>(req as IncomingMessage, res as ServerResponse);
      return run(ctx).catch((error: Error) => ctx.onerror(error));
    };
  }
}

type Run = (ctx: ApiContext) => Promise<void>;

/** Each calls its `next` once at most. What it throws is a rejection for those before it. */
function chain(middleware: readonly ApiMiddleware[]): Run {
  const end: Run = () => Promise.resolve();
  return middleware.reduceRight<Run>((rest, each) => {
    return (ctx) => {
      try {
        return Promise.resolve(each(ctx, () => rest(ctx)));
      } catch (error) {
        const failure = error as Error;
        return Promise.reject(failure);
      }
    };
  }, end);
}
