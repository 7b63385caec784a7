/** What stands in the database, read past the API and without knowing its tables by name. */
import { decodeId } from '../../../src/domain/ids';
import type { PostgresDatabase } from '../../../src/platform/postgres/pool';

interface Table {
  name: string;
  columns: string[];
}

/** Every table of ours; of a partitioned one the whole. */
export async function tablesOf(database: PostgresDatabase): Promise<Table[]> {
  return database.run<Table & Record<string, unknown>>({
    name: 'test.tables',
    text: `select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
      from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      group by c.relname order by c.relname`,
  });
}

/** Counting requests, and when a key was last used: each request changes them, also a refused one. */
const COUNTING = ['usage_deltas', 'usage_days', 'usage_tenant_days'];
const COUNTING_COLUMN = 'last_used_at';

/** All rows that belong to the tenant, as text, by table. */
export async function rowsOfTenant(
  database: PostgresDatabase,
  tenantId: string,
): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {};
  for (const { name, columns } of await tablesOf(database)) {
    const whose = columns.includes('tenant_id')
      ? 'tenant_id = $1'
      : columns.includes('job_id')
        ? 'job_id in (select id from jobs where tenant_id = $1)'
        : columns.includes('key_id')
          ? 'key_id in (select id from api_keys where tenant_id = $1)'
          : name === 'tenants' && 'id = $1';
    if (whose === false || COUNTING.includes(name)) continue;
    const found = await database.run<{ row: string }>(
      {
        name: `test.rows_${name}`,
        text: `select (to_jsonb(t) - '${COUNTING_COLUMN}')::text as row from ${name} t where ${whose} order by 1`,
      },
      [decodeId('tenant', tenantId)],
    );
    rows[name] = found.map(({ row }) => row);
  }
  return rows;
}

/** What there is of everything: rows by table, and the items that are reserved of quotas. */
export async function amounts(database: PostgresDatabase): Promise<Record<string, number>> {
  const tables = (await tablesOf(database)).map(({ name }) => name);
  const counted = tables.filter(
    (name) => ![...COUNTING, 'idempotency_keys', 'instances', 'quota_months'].includes(name),
  );
  const text = [
    ...counted.map((name) => `select '${name}' as of, count(*)::int as n from ${name}`),
    `select 'reserved items', coalesce(sum(items), 0)::int from quota_months`,
  ].join(' union all ');
  const rows = await database.run<{ of: string; n: number }>({ name: 'test.amounts', text });
  return Object.fromEntries(rows.map(({ of, n }) => [of, n]));
}

/** What came on top, where something did. */
export function growth(
  before: Record<string, number>,
  after: Record<string, number>,
): Record<string, number> {
  const grown = Object.entries(after).map(([of, n]) => [of, n - (before[of] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([, n]) => n !== 0));
}
