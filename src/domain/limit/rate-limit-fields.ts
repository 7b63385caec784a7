/**
 * The one writer of the RateLimit fields, as draft-ietf-httpapi-ratelimit-headers-11 (23 May 2026) has them. It is a draft:
 * the editors' next one renames `r` and `t`. Whoever moves to another revision changes this module and docs/limits.md.
 */
import type { LimitPolicy, PolicyState } from './policy';

export const RATE_LIMIT_REVISION = 'draft-ietf-httpapi-ratelimit-headers-11';
export const RATE_LIMIT_POLICY = 'RateLimit-Policy';
export const RATE_LIMIT = 'RateLimit';

/** `"minute";q=60;w=60,"day";q=5000;w=86400`: the same on every answer. */
export function rateLimitPolicyField(policies: readonly LimitPolicy[]): string {
  let field = '';
  for (const { name, quota, windowSeconds } of policies) {
    field += `${field === '' ? '' : ','}"${name}";q=${quota};w=${windowSeconds}`;
  }
  return field;
}

/** The same, remembered for lists that come again and again. */
export function createPolicyFields(): typeof rateLimitPolicyField {
  const fields = new WeakMap<readonly LimitPolicy[], string>();
  return (policies) => {
    let field = fields.get(policies);
    if (field === undefined) {
      field = rateLimitPolicyField(policies);
      fields.set(policies, field);
    }
    return field;
  };
}

/** `"minute";r=59;t=60`: at most r more within the next t seconds. */
export function rateLimitField(states: readonly PolicyState[]): string {
  let field = '';
  for (const { name, remaining, endsInMs } of states) {
    const seconds = Math.max(1, Math.ceil(endsInMs / 1000));
    field += `${field === '' ? '' : ','}"${name}";r=${Math.max(0, remaining)};t=${seconds}`;
  }
  return field;
}
