/**
 * Says once that most, or all, of a tenant's requests of the day are used. On the way of a request this is a comparison; only
 * what looks like it is looked at closely, at most once a second, since a process sees the count that all share late, and only
 * its own part of it while that count is away.
 */
import type { Principal } from '../../domain/key/scopes';
import type { PolicyState } from '../../domain/limit/policy';
import { dayNumber } from '../../domain/limit/window';
import type { QuotaEventType } from '../../domain/realtime/event';
import { dayEnd, dayOf } from '../../domain/usage/period';
import { crossings, type QuotaUse } from '../../domain/usage/quota';
import type { RequestLimiter } from '../limits/ports';

export interface RequestQuotaDeps {
  limiter: Pick<RequestLimiter, 'look'>;
  /** Once for a tenant, day and limit, however many processes say so. */
  tell(types: readonly QuotaEventType[], use: QuotaUse): Promise<void>;
  nowMs(): number;
  onError(error: unknown): void;
}

/** Called for each request of a tenant, with how its limits stand. */
export type OnRequestsUsed = (who: Principal, states: readonly PolicyState[]) => void;

const LOOK_EVERY_MS = 1_000;

interface Said {
  quota: number;
  /** up to which use all has been said */
  upTo: number;
  nextLookMs: number;
  /** a look is due at `nextLookMs` */
  waiting: boolean;
}

export function createRequestQuota(deps: RequestQuotaDeps): OnRequestsUsed {
  const { limiter, tell, nowMs, onError } = deps;
  let today = 0;
  const said = new Map<string, Said>();

  const lookClosely = async (who: Principal, known: Said): Promise<void> => {
    known.waiting = false;
    known.nextLookMs = nowMs() + LOOK_EVERY_MS;
    const day = dayOf(new Date(nowMs()));
    const use = (await limiter.look(who)).find(({ name }) => name === 'day');
    if (use?.quota !== known.quota) return;
    const { used, quota: allowed } = use;
    const types = crossings(allowed, { before: known.upTo, after: used });
    if (types.length > 0) {
      const period = { periodStart: day, periodEnd: dayEnd(day) };
      await tell(types, { tenantId: who.tenantId, quota: 'requests_per_day', used, allowed, ...period });
    }
    known.upTo = Math.max(known.upTo, used);
  };

  const knownOf = (tenantId: string, quota: number, now: number): Said => {
    const day = dayNumber(now);
    if (day !== today) said.clear();
    today = day;
    let known = said.get(tenantId);
    if (known?.quota !== quota) {
      known = { quota, upTo: 0, nextLookMs: 0, waiting: false };
      said.set(tenantId, known);
    }
    return known;
  };

  return (who, states) => {
    for (const { name, remaining, quota } of states) {
      if (name !== 'day' || remaining * 5 > quota) continue;
      const now = nowMs();
      const known = knownOf(who.tenantId, quota, now);
      if (known.upTo >= quota || known.waiting) return;
      // The last request of all may be the one that comes too soon after a look.
      known.waiting = true;
      const look = (): void => void lookClosely(who, known).catch(onError);
      if (now >= known.nextLookMs) look();
      else setTimeout(look, known.nextLookMs - now).unref();
    }
  };
}
