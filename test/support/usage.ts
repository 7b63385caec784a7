/** What is in the usage, read past the API. */
import { decodeId } from '../../src/domain/ids';
import type { Queryable } from '../../src/platform/postgres/statement';

/** Of one metric of a tenant: folded and not. */
export async function usedOf(
  db: Queryable,
  tenantId: string,
  metric: 'requests' | 'refused' | 'items' = 'items',
): Promise<number> {
  const [row] = await db.run<{ n: string }>(
    {
      name: 'test.used',
      text: `select coalesce(sum(amount), 0) as n from (
        select amount from usage_days where tenant_id = $1 and metric = $2
        union all select amount from usage_deltas where tenant_id = $1 and metric = $2) u`,
    },
    [decodeId('tenant', tenantId), metric],
  );
  return Number(row?.n);
}

/** Items that count against the tenant's month. */
export async function reservedOf(db: Queryable, tenantId: string): Promise<number> {
  const [row] = await db.run<{ n: string }>(
    {
      name: 'test.reserved',
      text: 'select coalesce(sum(items), 0) as n from quota_months where tenant_id = $1',
    },
    [decodeId('tenant', tenantId)],
  );
  return Number(row?.n);
}

/** A plan that allows so many items a month, and nothing else less than everything. */
export async function itemsPlan(db: Queryable, name: string, itemsPerMonth: number | null): Promise<string> {
  await db.run(
    {
      name: 'test.items_plan',
      text: `insert into plans (name, items_per_month) values ($1, $2)
        on conflict (name) do update set items_per_month = excluded.items_per_month`,
    },
    [name, itemsPerMonth],
  );
  return name;
}

/** What was said of a tenant's quotas, oldest first. */
export async function quotaEvents(
  db: Queryable,
  tenantId: string,
): Promise<{ type: string; data: Record<string, unknown> }[]> {
  const rows = await db.run<{ type: string; data: string }>(
    {
      name: 'test.quota_events',
      text: `select type, data from events where tenant_id = $1 and type like 'quota.%' order by seq`,
    },
    [decodeId('tenant', tenantId)],
  );
  return rows.map(({ type, data }) => ({ type, data: JSON.parse(data) as Record<string, unknown> }));
}
