/** A key by its secret: what authentication asks. */
import { encodeId } from '../../domain/ids';
import type { Scope } from '../../domain/key/scopes';
import { PLAN_COLUMNS, type PlanRow, toPlan } from './plan-row';
import { type Queryable, statement } from './statement';

interface KnownKeyRow extends PlanRow {
  id: string;
  tenant_id: string;
  tenant_name: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  expires_at: Date | null;
  revoked_at: Date | null;
  ends_at: Date | null;
  ends_in_ms: number | null;
  allowed_cidrs: string[];
  key_requests_per_minute: number | null;
  key_requests_per_day: string | null;
  plan_changes_in_ms: number | null;
}

/**
 * Without a tenant: it is the key that says which tenant asks. When it ends and when the plan changes are told as spans, so that
 * it doesn't matter whether the clocks agree.
 */
export const KEY_FIND_BY_HASH = statement<KnownKeyRow>(
  'key.find_by_hash',
  `select k.id, k.tenant_id, t.name as tenant_name, k.name, k.prefix, k.scopes, k.expires_at, k.revoked_at, s.ends_at, k.allowed_cidrs,
     k.requests_per_minute as key_requests_per_minute, k.requests_per_day as key_requests_per_day,
     (extract(epoch from least(k.expires_at, s.ends_at) - now()) * 1000)::float8 as ends_in_ms,
     (extract(epoch from plan_changes_at(k.tenant_id, now()) - now()) * 1000)::float8 as plan_changes_in_ms, ${PLAN_COLUMNS}
   from api_key_secrets s join api_keys k on k.id = s.key_id join tenants t on t.id = k.tenant_id
   cross join lateral plan_of(k.tenant_id, now()) p where s.hash = $1 and t.deleted_at is null`,
);

export function createKeyLookup(db: Queryable) {
  return {
    findByHash: async (hash: Uint8Array) => {
      const [row] = await db.run(KEY_FIND_BY_HASH, [hash]);
      return row && toKnownKey(row);
    },
  };
}

function toKnownKey(row: KnownKeyRow) {
  return {
    keyId: encodeId('key', row.id),
    keyName: row.name,
    prefix: row.prefix,
    tenantId: encodeId('tenant', row.tenant_id),
    tenantName: row.tenant_name,
    plan: toPlan(row),
    planChangesInMs: row.plan_changes_in_ms,
    limits: {
      requestsPerMinute: row.key_requests_per_minute,
      requestsPerDay: row.key_requests_per_day === null ? null : Number(row.key_requests_per_day),
    },
    scopes: row.scopes,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    secretEndsAt: row.ends_at,
    endsInMs: row.ends_in_ms,
    allowedCidrs: row.allowed_cidrs,
  };
}
