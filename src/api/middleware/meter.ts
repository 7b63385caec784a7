/**
 * Counts each request of a known key once: as served, or as refused by the limit or quota that did. It is counted when its
 * handler has answered, which for a download or an event stream is where that begins: one that goes on for hours is in the
 * usage at once, and is not lost with the process that serves it.
 */
import { isAppError } from '../../domain/errors';
import type { ApiMiddleware } from '../state';
import type { Asker } from '../usage/request-tally';

export interface MeterDeps {
  /** @param refusedBy the policy; undefined: the request was served, whatever the answer is */
  countRequest(who: Asker, refusedBy: string | undefined): void;
}

export function meter({ countRequest }: MeterDeps): ApiMiddleware {
  return function meter(ctx, next) {
    const { principal } = ctx.state;
    if (principal === undefined) return next();
    return next().then(
      () => countRequest(principal, undefined),
      (error: unknown) => {
        countRequest(principal, refusedBy(error));
        throw error;
      },
    );
  };
}

function refusedBy(error: unknown): string | undefined {
  return isAppError(error) ? error.violatedPolicies?.[0] : undefined;
}
