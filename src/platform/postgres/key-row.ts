/** How a row of `api_keys` becomes a key. */
import { encodeId } from '../../domain/ids';
import type { KeyBounds } from '../../domain/key/key-bounds';
import type { KeyStatus } from '../../domain/key/key-status';
import type { Scope } from '../../domain/key/scopes';

export interface KeyRow {
  id: string;
  tenant_id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  expires_at: Date | null;
  allowed_cidrs: string[];
  requests_per_minute: number | null;
  /** a bigint comes as text */
  requests_per_day: string | null;
  status: KeyStatus;
  revoked_at: Date | null;
  rotated_at: Date | null;
  last_used_at: Date | null;
  created_at: Date;
}

/** Of rows of `api_keys`; by the clock of the database, as all ends of keys. */
export const KEY_STATUS = `case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' else 'active' end`;

export const KEY_COLUMNS = `id, tenant_id, name, prefix, scopes, expires_at, allowed_cidrs, requests_per_minute, requests_per_day,
  revoked_at, rotated_at, last_used_at, created_at, ${KEY_STATUS} as status`;

export interface KeyRecord extends Omit<KeyRow, keyof KeyBounds>, KeyBounds {}

export function toKey(row: KeyRow): KeyRecord {
  return {
    ...row,
    id: encodeId('key', row.id),
    tenant_id: encodeId('tenant', row.tenant_id),
    requests_per_day: row.requests_per_day === null ? null : Number(row.requests_per_day),
  };
}
