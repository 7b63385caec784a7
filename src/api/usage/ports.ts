/** What the usage routes need of the house below; `compose.ts` hands in what fulfils it. */
import type { DayRange } from '../../domain/usage/period';
import type { DayCount, TenantUse } from '../../domain/usage/usage';

export interface UsageReads {
  /** undefined: there is no such tenant */
  tenant(tenantId: string): Promise<TenantUse | undefined>;
  /** Of the tenant, or of one of its keys, in either range. */
  counts(
    of: { tenantId: string; keyId?: string },
    ranges: readonly [DayRange, DayRange],
  ): Promise<DayCount[]>;
}
