import type { Plan } from './plans';

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

/** Limits that an operator gave one key, tighter than those of its tenant's plan. */
export interface KeyLimits {
  requestsPerMinute: number | null;
  requestsPerDay: number | null;
}

/** Who asks: the key behind a request. */
export interface Principal {
  keyId: string;
  tenantId: string;
  tenantName: string;
  /** in force right now */
  plan: Plan;
  scopes: readonly Scope[];
  /** The key's own limits, beside its plan's; null: none. */
  limits: KeyLimits;
}

/** The scopes of `wanted` that `holder` may not grant. Only `admin` grants `admin`; an admin may grant all. */
export function scopesBeyond(holder: readonly Scope[], wanted: readonly Scope[]): Scope[] {
  if (holder.includes('admin')) return [];
  return wanted.filter((scope) => !holder.includes(scope));
}
