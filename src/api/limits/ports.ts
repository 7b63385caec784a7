/** What the API needs of the limits on requests; `compose/limits.ts` hands in what fulfils it. */
import type { Principal } from '../../domain/key/scopes';
import type { PolicyUse, Verdict } from '../../domain/limit/policy';

export type { PolicyUse, Verdict };

export interface RequestLimiter {
  /** At once where points are held already; never rejects. A cost above a quota counts as the quota. */
  spend(principal: Principal, cost: number): Verdict | Promise<Verdict>;
  /** Spends nothing. While Redis is away: as far as this process knows. */
  look(principal: Principal): Promise<PolicyUse[]>;
}
