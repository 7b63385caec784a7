/** Types of what happens to keys, tenants and all tenants at once; those of jobs and quotas stand in `realtime/event.ts`. */
export const API_KEY_EVENT_TYPES = [
  'api_key.created',
  'api_key.updated',
  'api_key.rotated',
  'api_key.revoked',
] as const;
export type ApiKeyEventType = (typeof API_KEY_EVENT_TYPES)[number];

export const TENANT_EVENT_TYPES = [
  'tenant.created',
  'tenant.updated',
  'tenant.deleted',
  'tenant.subscription_changed',
] as const;
export type TenantEventType = (typeof TENANT_EVENT_TYPES)[number];

/** What an operator tells all tenants has a type of its own below this word. */
export const BROADCAST_PREFIX = 'system.';
