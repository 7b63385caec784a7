/** Who asks, for tests that need nobody in particular. */
import type { KnownKey } from '../../src/api/access/ports';
import type { PlanLimits } from '../../src/domain/key/plans';
import { newId } from '../../src/platform/clock';

export const NO_LIMITS: PlanLimits = {
  requestsPerMinute: null,
  requestsPerDay: null,
  itemsPerMonth: null,
  itemsPerJob: null,
  runningJobs: null,
  concurrencyPerJob: null,
  endpoints: null,
  realtimeConnections: null,
  realtimeTopics: null,
  retentionDays: null,
};

/** A key of a tenant without limits. */
export function knownKey(change: Partial<KnownKey> = {}): KnownKey {
  return {
    keyId: newId('key'),
    keyName: 'test',
    prefix: 'mrk_test',
    tenantId: newId('tenant'),
    tenantName: 'test',
    plan: { name: 'unlimited', limits: NO_LIMITS },
    scopes: ['admin'],
    limits: { requestsPerMinute: null, requestsPerDay: null },
    expiresAt: null,
    revokedAt: null,
    secretEndsAt: null,
    endsInMs: null,
    allowedCidrs: [],
    planChangesInMs: null,
    ...change,
  };
}
