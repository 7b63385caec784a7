/** When a failed item is tried again: exponential backoff with jitter. Pure; chance comes as an argument. */
import type { JobOptions, RetryPolicy } from '../batch/job';

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

const SHORT_WAIT_MS = 1_000;

/** All attempts of one item as one bound; longer waits between them are not spent in the chunk. */
export function itemMaxMs({ retry, item_timeout_ms }: Pick<JobOptions, 'retry' | 'item_timeout_ms'>): number {
  return retry.max_attempts * (item_timeout_ms + SHORT_WAIT_MS);
}
