/** Scopes are spelled out one by one; `admin` alone grants `admin` or names another tenant. */
export const SCOPES = [
  'jobs:read',
  'jobs:write',
  'webhooks:read',
  'webhooks:write',
  'events:read',
  'events:write',
  'keys:read',
  'keys:write',
  'analytics:read',
  'reports:read',
  'reports:write',
  'schedules:read',
  'schedules:write',
  'admin',
] as const;
export type Scope = (typeof SCOPES)[number];

export const PLAN_NAMES = ['free', 'basic', 'premium', 'unlimited'] as const;
export type PlanName = (typeof PLAN_NAMES)[number];

/** Who asks: the key behind a request. */
export interface Principal {
  keyId: string;
  tenantId: string;
  tenantName: string;
  plan: PlanName;
  scopes: readonly Scope[];
}

/** The scopes of `wanted` that `holder` may not grant. Only `admin` grants `admin`; an admin may grant all. */
export function scopesBeyond(holder: readonly Scope[], wanted: readonly Scope[]): Scope[] {
  if (holder.includes('admin')) return [];
  return wanted.filter((scope) => !holder.includes(scope));
}
