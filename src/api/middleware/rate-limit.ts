/** Limits on requests: after it is known who asks, before anything is read or done. */
import { AppError } from '../../domain/errors';
import type { PolicyState, Verdict } from '../../domain/limit/policy';
import {
  RATE_LIMIT,
  RATE_LIMIT_POLICY,
  rateLimitField,
  rateLimitPolicyField,
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
  return async function rateLimit(ctx, next) {
    const { principal } = ctx.state;
    if (principal !== undefined) {
      const spent = limiter.spend(principal, matchedRoute(ctx).cost ?? 1);
      const verdict = spent instanceof Promise ? await spent : spent;
      if (verdict.policies.length > 0) {
        setFields(ctx, verdict);
        onRequestsUsed(principal, verdict.states);
      }
      if (verdict.refusedBy !== undefined) throw refusal(verdict.refusedBy, chance());
    }
    await next();
    // The draft has none on a redirection: it would be taken for the limits of the other place.
    const { answer } = ctx.state;
    if (answer !== undefined && answer.kind !== 'taken' && isRedirection(answer.status)) removeFields(ctx);
  };
}

function setFields(ctx: ApiContext, { policies, states }: Verdict): void {
  ctx.set(RATE_LIMIT_POLICY, rateLimitPolicyField(policies));
  if (states.length > 0) ctx.set(RATE_LIMIT, rateLimitField(states));
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
