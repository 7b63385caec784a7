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
  return async function meter(ctx, next) {
    const { principal } = ctx.state;
    if (principal === undefined) {
      await next();
      return;
    }
    try {
      await next();
    } catch (error) {
      countRequest(principal, refusedBy(error));
      throw error;
    }
    countRequest(principal, undefined);
  };
}

function refusedBy(error: unknown): string | undefined {
  return isAppError(error) ? error.violatedPolicies?.[0] : undefined;
}
