/** A key as it is shown. */
import type { ApiKey } from './ports';

export function toKeyBody(key: ApiKey) {
  return {
    id: key.id,
    object: 'api_key' as const,
    tenant_id: key.tenant_id,
    name: key.name,
    prefix: key.prefix,
    status: key.status,
    scopes: key.scopes,
    ...toBoundsBody(key),
    revoked_at: key.revoked_at,
    rotated_at: key.rotated_at,
    last_used_at: key.last_used_at,
    created_at: key.created_at,
  };
}

export function toBoundsBody(key: ApiKey) {
  return {
    expires_at: key.expires_at,
    allowed_cidrs: key.allowed_cidrs,
    requests_per_minute: key.requests_per_minute,
    requests_per_day: key.requests_per_day,
  };
}

export function keyPath(keyId: string): string {
  return `/v1/api-keys/${keyId}`;
}
