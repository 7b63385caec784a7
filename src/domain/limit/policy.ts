/** The limits on requests that hold for whoever asks: windows of a minute and of a day (UTC), of the tenant and of the key. */
import type { Principal } from '../key/scopes';

export const MINUTE_SECONDS = 60;
export const DAY_SECONDS = 86_400;

export interface LimitPolicy {
  /** as the RateLimit fields and problems call it */
  name: 'minute' | 'key-minute' | 'day' | 'key-day';
  /** whose requests it counts: `tnt_…` or `key_…` */
  subject: string;
  /** requests in one window, each by its cost */
  quota: number;
  /** A window of a minute begins at its first request, one of a day at midnight in UTC. */
  windowSeconds: typeof MINUTE_SECONDS | typeof DAY_SECONDS;
}

/** How a limit stands. */
export interface PolicyState extends LimitPolicy {
  remaining: number;
  /** until the window is over */
  endsInMs: number;
}

/** Whether a request may pass. */
export interface Verdict {
  /** all that hold for the one who asks; none: no limits */
  policies: readonly LimitPolicy[];
  /** of those that are known of */
  states: readonly PolicyState[];
  /** the one that refused; undefined: go on */
  refusedBy: PolicyState | undefined;
}

/** How a limit stands, for the one it holds for. */
export interface PolicyUse extends LimitPolicy {
  used: number;
  remaining: number;
  /** undefined: no window has begun */
  endsInMs: number | undefined;
}

/** In the order they are asked: what a minute refuses is not counted in a day, what a key may not do not in its tenant's. */
export function policiesOf({ tenantId, keyId, plan, limits }: Principal): LimitPolicy[] {
  const policies: LimitPolicy[] = [];
  const add = (name: LimitPolicy['name'], subject: string, quota: number | null): void => {
    if (quota === null) return;
    const windowSeconds = name.endsWith('minute') ? MINUTE_SECONDS : DAY_SECONDS;
    policies.push({ name, subject, quota, windowSeconds });
  };
  add('key-minute', keyId, limits.requestsPerMinute);
  add('minute', tenantId, plan.limits.requestsPerMinute);
  add('key-day', keyId, limits.requestsPerDay);
  add('day', tenantId, plan.limits.requestsPerDay);
  return policies;
}
