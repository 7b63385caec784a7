/** Tenants. */
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

interface TenantRow {
  id: string;
  name: string;
  plan: string;
  created_at: Date;
}

export const TENANT_INSERT = statement<TenantRow>(
  'tenant.insert',
  `with made as (insert into tenants (id, name) values ($1, $2) returning id, name, created_at),
     subscribed as (insert into subscriptions (tenant_id, plan, valid_from) select id, $3, created_at from made)
   select id, name, $3::text as plan, created_at from made`,
);

export const TENANT_FIND = statement<TenantRow>(
  'tenant.find',
  `select id, name, plan_name_of(id, now()) as plan, created_at from tenants where id = $1 and deleted_at is null`,
);

/** Held to the end of the transaction, so that of two first starts at once one makes the first tenant. */
export const TENANT_BOOTSTRAP_LOCK = statement(
  'tenant.bootstrap_lock',
  "select pg_advisory_xact_lock(hashtext('millrace.bootstrap'))",
);

export const TENANT_ANY = statement<{ id: string }>('tenant.any', 'select id from tenants limit 1');

export interface TenantRecord {
  id: string;
  name: string;
  plan: string;
  created_at: Date;
}

export function createTenantStore(db: Queryable) {
  return {
    insert: async (tenant: { id: string; name: string; plan: string }): Promise<TenantRecord> => {
      const values = [decodeId('tenant', tenant.id), tenant.name, tenant.plan];
      const [row] = await db.run(TENANT_INSERT, values);
      return toTenant(row as TenantRow);
    },

    find: async (tenantId: string): Promise<TenantRecord | undefined> => {
      const uuid = tryDecodeId('tenant', tenantId);
      if (uuid === undefined) return undefined;
      const [row] = await db.run(TENANT_FIND, [uuid]);
      return row && toTenant(row);
    },

    /** Whether no tenant exists; within a transaction, nobody else can make the first one until it ends. */
    lockWhileNone: async (): Promise<boolean> => {
      await db.run(TENANT_BOOTSTRAP_LOCK);
      return (await db.run(TENANT_ANY)).length === 0;
    },
  };
}

function toTenant(row: TenantRow): TenantRecord {
  return { id: encodeId('tenant', row.id), name: row.name, plan: row.plan, created_at: row.created_at };
}
