/** When a failed item is tried again: exponential backoff with jitter. Pure; chance comes as an argument. */
import type { RetryPolicy } from '../batch/job';

/** Share of the delay by which jitter moves it, up or down. */
export const JITTER = 0.2;

export function mayTryAgain(policy: RetryPolicy, attempts: number): boolean {
  return attempts < policy.max_attempts;
}

/**
 * Wait before the attempt that follows `attempts` failed ones, in whole ms, never beyond `max_interval_ms`.
 * @param chance from 0 (shortest) to 1 (longest)
 */
export function retryDelayMs(policy: RetryPolicy, attempts: number, chance: number): number {
  const growth = policy.backoff_coefficient ** Math.max(0, attempts - 1);
  const grown = policy.initial_interval_ms === 0 ? 0 : policy.initial_interval_ms * growth;
  const capped = Math.min(grown, policy.max_interval_ms);
  const jittered = capped * (1 - JITTER + 2 * JITTER * chance);
  return Math.round(Math.min(jittered, policy.max_interval_ms));
}
