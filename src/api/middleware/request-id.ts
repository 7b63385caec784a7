/** Every request has an id, given by the client or made here, that the answer, the log and problems carry. */
import type { ServerResponse } from 'node:http';
import type { Log } from '../ports';
import type { ApiMiddleware } from '../state';

const SANE = /^[\w.:/+=-]{1,128}$/;

export function requestId(deps: { newRequestId(): string; log: Log }): ApiMiddleware {
  return async function requestId(ctx, next) {
    const given = ctx.get('X-Request-Id');
    const id = SANE.test(given) ? given : deps.newRequestId();
    ctx.state.requestId = id;
    ctx.state.log = deps.log.child({ request_id: id });
    ctx.state.signal = signalOf(ctx.res);
    ctx.set('X-Request-Id', id);
    ctx.set('X-Content-Type-Options', 'nosniff');
    await next();
  };
}

function signalOf(res: ServerResponse): AbortSignal {
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort();
  });
  return controller.signal;
}
