/** Limits on requests: after it is known who asks, before anything is read or done. */
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import type { PolicyState, Verdict } from '../../domain/limit/policy';
import {
  RATE_LIMIT,
  RATE_LIMIT_POLICY,
  createPolicyFields,
  rateLimitField,
} from '../../domain/limit/rate-limit-fields';
import { retryAfterSeconds } from '../../domain/limit/window';
import type { RequestLimiter } from '../limits/ports';
import { type ApiContext, type ApiMiddleware, matchedRoute } from '../state';
import type { OnRequestsUsed } from '../usage/request-quota';

export interface RateLimitDeps {
  limiter: Pick<RequestLimiter, 'spend'>;
  /** How the limits stand after a request was let through, or refused. */
  onRequestsUsed: OnRequestsUsed;
  /** 0 to less than 1 */
  chance(): number;
}

export function rateLimit({ limiter, onRequestsUsed, chance }: RateLimitDeps): ApiMiddleware {
  const policyField = createPolicyFields();
  const obey = (ctx: ApiContext, principal: Principal, verdict: Verdict): void => {
    if (verdict.policies.length > 0) {
      ctx.res.setHeader(RATE_LIMIT_POLICY, policyField(verdict.policies));
      if (verdict.states.length > 0) ctx.res.setHeader(RATE_LIMIT, rateLimitField(verdict.states));
      onRequestsUsed(principal, verdict.states);
    }
    if (verdict.refusedBy !== undefined) throw refusal(verdict.refusedBy, chance());
  };
  return function rateLimit(ctx, next) {
    const { principal } = ctx.state;
    if (principal === undefined) return next();
    const spent = limiter.spend(principal, matchedRoute(ctx).cost ?? 1);
    const goOn = (verdict: Verdict): Promise<unknown> => {
      obey(ctx, principal, verdict);
      return next().then(() => {
        const { answer } = ctx.state;
        if (answer !== undefined && answer.kind !== 'taken' && isRedirection(answer.status))
          removeFields(ctx);
      });
    };
    return spent instanceof Promise ? spent.then(goOn) : goOn(spent);
  };
}

function removeFields(ctx: ApiContext): void {
  ctx.remove(RATE_LIMIT_POLICY);
  ctx.remove(RATE_LIMIT);
}

function isRedirection(status: number): boolean {
  return status >= 300 && status < 400;
}

function refusal(state: PolicyState, chance: number): AppError {
  const { name, quota, windowSeconds, endsInMs } = state;
  const whose = name.startsWith('key-') ? 'This API key' : 'The plan of this tenant';
  const window = windowSeconds === 60 ? 'a minute' : 'a day';
  return new AppError('rate_limited', `${whose} allows ${quota} requests ${window}, and they are used up.`, {
    violatedPolicies: [name],
    retryAfterSeconds: retryAfterSeconds({ endsInMs, windowSeconds }, chance),
  });
}
