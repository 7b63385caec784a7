/** Calls the route's handler with what the middleware before it found out. */
import { type ApiMiddleware, matchedRoute } from '../state';

export function handle(): ApiMiddleware {
  return async function handle(ctx) {
    const { state } = ctx;
    const { transact } = state;
    if (transact === undefined) throw new Error('the idempotency middleware has not run');
    state.answer = await matchedRoute(ctx).handler({
      params: state.params,
      query: state.query,
      body: state.body,
      principal: state.principal,
      requestId: state.requestId,
      log: state.log,
      signal: state.signal,
      transact,
      ctx,
    });
  };
}
