/** API keys; of their secrets only the SHA-256 is kept. Fulfils `KeyStore` of src/api/key/ports.ts. */
import { AppError } from '../../domain/errors';
import { decodeId, tryDecodeId } from '../../domain/ids';
import type { KeyBounds } from '../../domain/key/key-bounds';
import type { KeyStatus } from '../../domain/key/key-status';
import type { Scope } from '../../domain/key/scopes';
import { KEY_COLUMNS, KEY_STATUS, type KeyRecord, type KeyRow, toKey } from './key-row';
import { type Queryable, type Statement, statement } from './statement';

export const KEY_INSERT = statement<KeyRow>(
  'key.insert',
  `with made as (
     insert into api_keys (id, tenant_id, name, prefix, scopes, expires_at, allowed_cidrs, requests_per_minute, requests_per_day)
     values ($1, $2, $3, $4, $6, $7, $8, $9, $10) returning ${KEY_COLUMNS}
   ), secret as (insert into api_key_secrets (hash, key_id) select $5, id from made)
   select ${KEY_COLUMNS} from made`,
);

export const KEY_FIND = statement<KeyRow>(
  'key.find',
  `select ${KEY_COLUMNS} from api_keys where tenant_id = $1 and id = $2`,
);

/** Nobody revokes or changes it before the transaction ends. */
export const KEY_HOLD = statement<KeyRow>('key.hold', `${KEY_FIND.text} for share`);

/** For an admin, who may look into every tenant. */
export const KEY_FIND_ANYWHERE = statement<KeyRow>(
  'key.find_anywhere',
  `select ${KEY_COLUMNS} from api_keys where id = $1`,
);

/** Newest first; a filter that is null lets all pass. */
export const KEY_LIST = statement<KeyRow>(
  'key.list',
  `select ${KEY_COLUMNS} from api_keys where tenant_id = $1 and ($2::uuid is null or id < $2)
     and ($3::text is null or $3 = ${KEY_STATUS})
   order by id desc limit $4`,
);

export const KEY_UPDATE = statement<KeyRow>(
  'key.update',
  `update api_keys set name = $3, scopes = $4, expires_at = $5, allowed_cidrs = $6, requests_per_minute = $7, requests_per_day = $8
   where tenant_id = $1 and id = $2 returning ${KEY_COLUMNS}`,
);

export const KEY_REVOKE = statement(
  'key.revoke',
  'update api_keys set revoked_at = now() where tenant_id = $1 and id = $2 and revoked_at is null',
);

export const KEY_ROTATE = statement<KeyRow>(
  'key.rotate',
  `with ended as (
     update api_key_secrets set ends_at = now() + $5 * interval '1 second'
     where key_id = $2 and (ends_at is null or ends_at > now() + $5 * interval '1 second')
   ), made as (insert into api_key_secrets (hash, key_id) values ($4, $2))
   update api_keys set prefix = $3, rotated_at = now() where tenant_id = $1 and id = $2 returning ${KEY_COLUMNS}`,
);

/** Over all tenants: a key with `admin` lets people into each. */
export const KEY_OTHER_ADMINS = statement<{ any: boolean; lasting: boolean }>(
  'key.other_admins',
  `select count(*) > 0 as any, count(*) filter (where k.expires_at is null) > 0 as lasting
   from api_keys k join tenants t on t.id = k.tenant_id
   where 'admin' = any (k.scopes) and k.revoked_at is null and k.id <> $1 and t.deleted_at is null
     and (k.expires_at is null or k.expires_at > now())`,
);

/** Until then whoever still uses an old secret is told that it ended. */
export const KEY_SECRETS_PRUNE = statement<{ key_id: string }>(
  'key.prune_secrets',
  `delete from api_key_secrets where ends_at < now() - interval '30 days' returning key_id`,
);

interface KeyRef {
  tenantId: string;
  keyId: string;
}

interface NewSecret {
  prefix: string;
  hash: Uint8Array;
}

interface NewKey extends NewSecret {
  id: string;
  tenantId: string;
  name: string;
  scopes: readonly Scope[];
  bounds: KeyBounds;
}

interface KeyPage {
  tenantId: string;
  after?: string | undefined;
  status?: KeyStatus | undefined;
  limit: number;
}

/** @param db for `update`, `rotate` and `revoke` the transaction in which the change is told to the log of changes */
export function createKeyStore(db: Queryable) {
  return {
    insert: async (key: NewKey): Promise<KeyRecord> => {
      const { name, prefix, hash, scopes, bounds } = key;
      const ids = [decodeId('key', key.id), decodeId('tenant', key.tenantId)];
      return oneKey(db, KEY_INSERT, [...ids, name, prefix, hash, scopes, ...boundValues(bounds)]);
    },

    find: async (ref: KeyRef): Promise<KeyRecord | undefined> => {
      const keyUuid = tryDecodeId('key', ref.keyId);
      if (keyUuid === undefined) return undefined;
      const [row] = await db.run(KEY_FIND, [decodeId('tenant', ref.tenantId), keyUuid]);
      return row && toKey(row);
    },

    hold: async (ref: KeyRef): Promise<KeyRecord | undefined> => {
      const ids = [decodeId('tenant', ref.tenantId), decodeId('key', ref.keyId)];
      const [row] = await db.run(KEY_HOLD, ids);
      return row && toKey(row);
    },

    findAnywhere: async (keyId: string): Promise<KeyRecord | undefined> => {
      const keyUuid = tryDecodeId('key', keyId);
      if (keyUuid === undefined) return undefined;
      const [row] = await db.run(KEY_FIND_ANYWHERE, [keyUuid]);
      return row && toKey(row);
    },

    list: async ({ tenantId, after, status, limit }: KeyPage): Promise<KeyRecord[]> => {
      const from = after === undefined ? null : decodeId('key', after);
      const values = [decodeId('tenant', tenantId), from, status ?? null, limit];
      return (await db.run(KEY_LIST, values)).map(toKey);
    },

    update: (ref: KeyRef, content: KeyBounds & Pick<NewKey, 'name' | 'scopes'>): Promise<KeyRecord> =>
      oneKey(db, KEY_UPDATE, [...idsOf(ref), content.name, content.scopes, ...boundValues(content)]),

    rotate: (ref: KeyRef, secret: NewSecret & { overlapSeconds: number }): Promise<KeyRecord> =>
      oneKey(db, KEY_ROTATE, [...idsOf(ref), secret.prefix, secret.hash, secret.overlapSeconds]),

    revoke: async (ref: KeyRef): Promise<void> => void (await db.run(KEY_REVOKE, idsOf(ref))),

    otherAdmins: async (keyId: string): Promise<{ any: boolean; lasting: boolean }> => {
      const [row] = await db.run(KEY_OTHER_ADMINS, [decodeId('key', keyId)]);
      return row ?? { any: false, lasting: false };
    },

    /** Drops secrets that ended long ago. @returns how many */
    pruneSecrets: async (): Promise<number> => (await db.run(KEY_SECRETS_PRUNE)).length,
  };
}

function idsOf({ tenantId, keyId }: KeyRef): [string, string] {
  return [decodeId('tenant', tenantId), decodeId('key', keyId)];
}

function boundValues(bounds: KeyBounds): unknown[] {
  return [bounds.expires_at, bounds.allowed_cidrs, bounds.requests_per_minute, bounds.requests_per_day];
}

async function oneKey(db: Queryable, stmt: Statement<KeyRow>, values: unknown[]): Promise<KeyRecord> {
  const [row] = await db.run(stmt, values);
  if (row === undefined) throw new AppError('not_found', 'There is no key with this id.');
  return toKey(row);
}
