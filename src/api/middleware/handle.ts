/** Calls the route's handler with what the middleware before it found out. */
import type { Context } from 'koa';
import type { Principal } from '../../domain/key/scopes';
import type { Credential } from '../access/ports';
import type { Log } from '../ports';
import type { ApiRequest } from '../route';
import { type ApiContext, type ApiMiddleware, type ApiState, matchedRoute } from '../state';

type AnyRequest = ApiRequest<unknown, unknown, unknown, Principal | undefined>;

export function handle(): ApiMiddleware {
  return function handle(ctx) {
    const { state } = ctx;
    if (state.transact === undefined) throw new Error('the idempotency middleware has not run');
    const answered = matchedRoute(ctx).handler(new HandlerRequest(ctx, state.transact));
    return answered.then((answer) => {
      state.answer = answer;
    });
  };
}

/** A view of the request's state: log and signal are made only for a handler that asks for them. */
class HandlerRequest implements AnyRequest {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly principal: Principal | undefined;
  readonly ctx: Context;
  readonly requestId: string;

  constructor(
    private readonly apiContext: ApiContext,
    readonly transact: NonNullable<ApiState['transact']>,
  ) {
    const { state } = apiContext;
    this.params = state.params;
    this.query = state.query;
    this.body = state.body;
    this.principal = state.principal;
    this.requestId = state.requestId;
    this.ctx = apiContext;
  }

  get credential(): Credential | undefined {
    return this.apiContext.state.credential;
  }

  get log(): Log {
    return this.apiContext.state.log;
  }

  get signal(): AbortSignal {
    return this.apiContext.state.signal;
  }
}
