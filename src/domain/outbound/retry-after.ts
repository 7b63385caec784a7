/** `Retry-After` (RFC 9110 §10.2.3): whole seconds or a date. */

/** Nobody is made to wait longer. */
export const RETRY_AFTER_MAX_MS = 86_400_000;

/** From now, in ms, capped; undefined where it can't be read. A time that has passed is 0. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, RETRY_AFTER_MAX_MS);
  // Date.parse takes all sorts of texts; all three forms of an HTTP date begin with a weekday.
  const at = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - nowMs), RETRY_AFTER_MAX_MS);
}
