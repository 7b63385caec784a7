/** Tenants. Fulfils `TenantStore` of src/api/tenant/ports.ts. */
import { AppError } from '../../domain/errors';
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import { ACCESS_CHANGED } from './access-log';
import { KEY_OTHER_ADMINS } from './key-store';
import { type Queryable, statement } from './statement';
import { requirePlan } from './subscription-store';

interface TenantRow {
  id: string;
  name: string;
  plan: string;
  created_at: Date;
  /** of the subscription in force; null: none */
  subscribed_plan: string | null;
  valid_from: Date | null;
  valid_until: Date | null;
  /** side by side, of those that begin later; null: none */
  next_plans: string[] | null;
  next_from: Date[] | null;
  next_until: (Date | null)[] | null;
}

/** To be selected from `tenants t` with `SUBSCRIPTIONS`. */
const TENANT_COLUMNS = `t.id, t.name, p.name as plan, t.created_at,
  s.plan as subscribed_plan, s.valid_from, s.valid_until, n.next_plans, n.next_from, n.next_until`;

const SUBSCRIPTIONS = `
  cross join lateral plan_of(t.id, now()) p
  left join lateral (
    select plan, valid_from, valid_until from subscriptions
    where tenant_id = t.id and valid_from <= now() and (valid_until is null or valid_until > now())
    order by valid_from desc limit 1
  ) s on true
  left join lateral (
    select array_agg(plan order by valid_from) as next_plans, array_agg(valid_from order by valid_from) as next_from,
      array_agg(valid_until order by valid_from) as next_until
    from subscriptions where tenant_id = t.id and valid_from > now()
  ) n on true`;

export const TENANT_INSERT = statement(
  'tenant.insert',
  `with made as (insert into tenants (id, name) values ($1, $2) returning id, created_at)
   insert into subscriptions (tenant_id, plan, valid_from) select id, $3, created_at from made`,
);

export const TENANT_FIND = statement<TenantRow>(
  'tenant.find',
  `select ${TENANT_COLUMNS} from tenants t ${SUBSCRIPTIONS} where t.id = $1 and t.deleted_at is null`,
);

/** Over all tenants: for an admin. */
export const TENANT_LIST = statement<TenantRow>(
  'tenant.list',
  `select ${TENANT_COLUMNS} from (
     select * from tenants where deleted_at is null and ($1::uuid is null or id < $1) order by id desc limit $2
   ) t ${SUBSCRIPTIONS} order by t.id desc`,
);

export const TENANT_RENAME = statement<{ id: string }>(
  'tenant.rename',
  `update tenants set name = $2 where id = $1 and deleted_at is null returning id`,
);

export const TENANT_DELETE = statement<{ id: string }>(
  'tenant.delete',
  `update tenants set deleted_at = now() where id = $1 and deleted_at is null returning id`,
);

/** So that none of them is taken for a key that can still let others in. Locked in the order of `usage.keys_used`. */
export const TENANT_REVOKE_KEYS = statement(
  'tenant.revoke_keys',
  `with due as (select id from api_keys where tenant_id = $1 and revoked_at is null order by id for no key update)
   update api_keys k set revoked_at = now() from due where k.id = due.id`,
);

export const TENANT_ASKER = statement<{ id: string }>(
  'tenant.asker',
  `select k.id from api_keys k join tenants t on t.id = k.tenant_id
   where k.id = $1 and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
     and 'admin' = any (k.scopes) and t.deleted_at is null`,
);

/** Held to the end of the transaction, so that of two first starts at once one makes the first tenant. */
export const TENANT_BOOTSTRAP_LOCK = statement(
  'tenant.bootstrap_lock',
  "select pg_advisory_xact_lock(hashtext('millrace.bootstrap'))",
);

export const TENANT_ANY = statement<{ id: string }>('tenant.any', 'select id from tenants limit 1');

export const TENANT_OLDEST = statement<{ id: string }>(
  'tenant.oldest',
  'select id from tenants where deleted_at is null order by id limit 1',
);

const NO_KEY = '00000000-0000-0000-0000-000000000000';

export interface Subscription {
  plan: string;
  valid_from: Date;
  valid_until: Date | null;
}

export interface TenantRecord {
  id: string;
  name: string;
  plan: string;
  created_at: Date;
  subscription: Subscription | null;
  scheduled: Subscription[];
}

/** @param db for `rename` and `remove` a transaction */
export function createTenantStore(db: Queryable) {
  return {
    async insert(tenant: { id: string; name: string; plan: string }): Promise<TenantRecord> {
      await requirePlan(db, tenant.plan);
      await db.run(TENANT_INSERT, [decodeId('tenant', tenant.id), tenant.name, tenant.plan]);
      return existing(await find(db, tenant.id));
    },

    find: (tenantId: string): Promise<TenantRecord | undefined> => find(db, tenantId),

    async list({ after, limit }: { after?: string | undefined; limit: number }): Promise<TenantRecord[]> {
      const rows = await db.run(TENANT_LIST, [after === undefined ? null : decodeId('tenant', after), limit]);
      return rows.map(toTenant);
    },

    async rename(tenantId: string, name: string): Promise<TenantRecord> {
      await db.run(ACCESS_CHANGED, [tenantId]);
      existing((await db.run(TENANT_RENAME, [decodeId('tenant', tenantId), name]))[0]);
      return existing(await find(db, tenantId));
    },

    remove: (tenantId: string, asker: { keyId: string }): Promise<void> => remove(db, tenantId, asker),

    /** Whether no tenant exists; within a transaction, nobody else can make the first one until it ends. */
    lockWhileNone: async (): Promise<boolean> => {
      await db.run(TENANT_BOOTSTRAP_LOCK);
      return (await db.run(TENANT_ANY)).length === 0;
    },

    /** Id of the one that was there first; undefined where there is none. */
    oldest: async (): Promise<string | undefined> => {
      const [row] = await db.run(TENANT_OLDEST);
      return row && encodeId('tenant', row.id);
    },
  };
}

async function find(db: Queryable, tenantId: string): Promise<TenantRecord | undefined> {
  const uuid = tryDecodeId('tenant', tenantId);
  if (uuid === undefined) return undefined;
  const [row] = await db.run(TENANT_FIND, [uuid]);
  return row && toTenant(row);
}

async function remove(db: Queryable, tenantId: string, asker: { keyId: string }): Promise<void> {
  const uuid = decodeId('tenant', tenantId);
  // From here on no other key or tenant goes.
  await db.run(ACCESS_CHANGED, [tenantId]);
  const [before] = await db.run(KEY_OTHER_ADMINS, [NO_KEY]);
  existing((await db.run(TENANT_DELETE, [uuid]))[0]);
  await db.run(TENANT_REVOKE_KEYS, [uuid]);
  if ((await db.run(TENANT_ASKER, [decodeId('key', asker.keyId)])).length === 0) {
    throw new AppError('key_revoked', 'The key that asks was revoked meanwhile.');
  }
  const [after] = await db.run(KEY_OTHER_ADMINS, [NO_KEY]);
  if (before?.lasting === true && after?.lasting !== true) {
    throw new AppError('last_admin_key', 'No other tenant has a key with `admin` that has no end.');
  }
}

function existing<T>(found: T | undefined): T {
  if (found === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
  return found;
}

function toTenant(row: TenantRow): TenantRecord {
  const { subscribed_plan: plan, valid_from, valid_until } = row;
  return {
    id: encodeId('tenant', row.id),
    name: row.name,
    plan: row.plan,
    created_at: row.created_at,
    subscription: plan === null || valid_from === null ? null : { plan, valid_from, valid_until },
    scheduled: (row.next_plans ?? []).map((next, i) => ({
      plan: next,
      valid_from: (row.next_from as Date[])[i] as Date,
      valid_until: row.next_until?.[i] ?? null,
    })),
  };
}
