/** API keys: only their SHA-256 is kept. */
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import type { Scope } from '../../domain/key/scopes';
import { PLAN_COLUMNS, type PlanRow, toPlan } from './plan-row';
import { type Queryable, statement } from './statement';

interface KeyRow {
  id: string;
  tenant_id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  expires_at: Date | null;
  revoked_at: Date | null;
  created_at: Date;
}

const KEY_COLUMNS = 'id, tenant_id, name, prefix, scopes, expires_at, revoked_at, created_at';

export const KEY_INSERT = statement<KeyRow>(
  'key.insert',
  `with made as (
     insert into api_keys (id, tenant_id, name, prefix, scopes, expires_at) values ($1, $2, $3, $4, $6, $7)
     returning ${KEY_COLUMNS}
   ), secret as (insert into api_key_secrets (hash, key_id) select $5, id from made)
   select ${KEY_COLUMNS} from made`,
);

export const KEY_FIND = statement<KeyRow>(
  'key.find',
  `select ${KEY_COLUMNS} from api_keys where tenant_id = $1 and id = $2`,
);

/** For an admin, who may look into every tenant. */
export const KEY_FIND_ANYWHERE = statement<KeyRow>(
  'key.find_anywhere',
  `select ${KEY_COLUMNS} from api_keys where id = $1`,
);

/** Without a tenant: it is the key that says which tenant asks. */
export const KEY_FIND_BY_HASH = statement<
  KeyRow &
    PlanRow & {
      tenant_name: string;
      key_requests_per_minute: number | null;
      key_requests_per_day: string | null;
      ends_at: Date | null;
      allowed_cidrs: string[];
    }
>(
  'key.find_by_hash',
  `select k.id, k.tenant_id, k.name, k.prefix, k.scopes, k.expires_at, k.revoked_at, k.created_at,
     k.requests_per_minute as key_requests_per_minute, k.requests_per_day as key_requests_per_day, k.allowed_cidrs, s.ends_at,
     t.name as tenant_name, ${PLAN_COLUMNS}
   from api_key_secrets s join api_keys k on k.id = s.key_id join tenants t on t.id = k.tenant_id
   cross join lateral plan_of(k.tenant_id, now()) p where s.hash = $1`,
);

export interface KeyRecord extends Omit<KeyRow, 'id' | 'tenant_id'> {
  id: string;
  tenant_id: string;
}

export interface NewKey {
  id: string;
  tenantId: string;
  name: string;
  prefix: string;
  hash: Uint8Array;
  scopes: readonly Scope[];
  expiresAt: Date | null;
}

export function createKeyStore(db: Queryable) {
  return {
    insert: async (key: NewKey): Promise<KeyRecord> => {
      const ids = [decodeId('key', key.id), decodeId('tenant', key.tenantId)];
      const values = [...ids, key.name, key.prefix, key.hash, key.scopes, key.expiresAt];
      const [row] = await db.run(KEY_INSERT, values);
      return toKey(row as KeyRow);
    },

    find: async (ref: { tenantId: string; keyId: string }): Promise<KeyRecord | undefined> => {
      const keyUuid = tryDecodeId('key', ref.keyId);
      if (keyUuid === undefined) return undefined;
      const [row] = await db.run(KEY_FIND, [decodeId('tenant', ref.tenantId), keyUuid]);
      return row && toKey(row);
    },

    findAnywhere: async (keyId: string): Promise<KeyRecord | undefined> => {
      const keyUuid = tryDecodeId('key', keyId);
      if (keyUuid === undefined) return undefined;
      const [row] = await db.run(KEY_FIND_ANYWHERE, [keyUuid]);
      return row && toKey(row);
    },

    findByHash: async (hash: Uint8Array) => {
      const [row] = await db.run(KEY_FIND_BY_HASH, [hash]);
      return (
        row && {
          keyId: encodeId('key', row.id),
          keyName: row.name,
          prefix: row.prefix,
          tenantId: encodeId('tenant', row.tenant_id),
          tenantName: row.tenant_name,
          plan: toPlan(row),
          limits: {
            requestsPerMinute: row.key_requests_per_minute,
            requestsPerDay: row.key_requests_per_day === null ? null : Number(row.key_requests_per_day),
          },
          scopes: row.scopes,
          expiresAt: row.expires_at,
          revokedAt: row.revoked_at,
          secretEndsAt: row.ends_at,
          allowedCidrs: row.allowed_cidrs,
        }
      );
    },
  };
}

function toKey(row: KeyRow): KeyRecord {
  return { ...row, id: encodeId('key', row.id), tenant_id: encodeId('tenant', row.tenant_id) };
}
