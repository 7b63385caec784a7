/** What a plan allows. */
import type { PlanName } from './scopes';

export interface PlanLimits {
  /** jobs of one tenant that run at once; further ones wait as `queued`. null: no limit */
  runningJobs: number | null;
  /** items in flight of one job; null: no limit */
  concurrencyPerJob: number | null;
}

export const PLAN_LIMITS: Readonly<Record<PlanName, PlanLimits>> = {
  free: { runningJobs: 2, concurrencyPerJob: 20 },
  basic: { runningJobs: 10, concurrencyPerJob: 100 },
  premium: { runningJobs: 100, concurrencyPerJob: 1_000 },
  unlimited: { runningJobs: null, concurrencyPerJob: null },
};
