import type { RateLimitDeps } from '../../src/api/middleware/rate-limit';

/** For an application whose limits are not at issue. */
export const noRateLimit: RateLimitDeps = {
  limiter: { spend: () => ({ policies: [], states: [], refusedBy: undefined }) },
  onRequestsUsed: () => undefined,
  chance: () => 0,
};
