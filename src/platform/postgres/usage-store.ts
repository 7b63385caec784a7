/**
 * Usage: appended by whoever does the work, folded into days a little later (usage-fold.ts), and read as the sum of both, in one
 * statement and so in one snapshot: a fold is seen whole or not at all (docs/adr/0029-usage-deltas.md).
 */
import { decodeId, tryDecodeId } from '../../domain/ids';
import type { Plan } from '../../domain/key/plans';
import { type DayRange, monthEnd } from '../../domain/usage/period';
import type { DayCount, RequestCount, TenantUse } from '../../domain/usage/usage';
import { PLAN_COLUMNS, type PlanRow, toPlan } from './plan-row';
import { type Queryable, statement } from './statement';

interface CountRow {
  day: string;
  metric: 'requests' | 'refused' | 'items';
  policy: string;
  /** a bigint: as text */
  amount: string;
}

const SUMMED = `select day::text as day, metric, policy, sum(amount)::bigint as amount from used
  where amount <> 0 group by day, metric, policy order by day, metric, policy`;

/** In one of two ranges of days, which may overlap. */
const IN_RANGES = '(day between $2 and $3 or day between $4 and $5)';

export const USAGE_OF_TENANT = statement<CountRow>(
  'usage.of_tenant',
  `with used as (
     select day, metric, policy, amount from usage_tenant_days where tenant_id = $1 and ${IN_RANGES}
     union all
     select day, metric, policy, amount from usage_deltas where tenant_id = $1 and ${IN_RANGES}
   ) ${SUMMED}`,
);

export const USAGE_OF_KEY = statement<CountRow>(
  'usage.of_key',
  `with used as (
     select day, metric, policy, amount from usage_days where tenant_id = $1 and key_id = $6 and ${IN_RANGES}
     union all
     select day, metric, policy, amount from usage_deltas where tenant_id = $1 and key_id = $6 and ${IN_RANGES}
   ) ${SUMMED}`,
);

/** What a tenant may use, and what counts against it now. */
export const USAGE_TENANT = statement<
  PlanRow & { month: string; items_reserved: string; jobs_running: number; name: string }
>(
  'usage.tenant',
  `select ${PLAN_COLUMNS}, t.name, m.month::text as month, coalesce(q.items, 0) as items_reserved,
     (select count(*) from jobs where tenant_id = $1 and status = 'running')::int as jobs_running
   from tenants t cross join lateral plan_of(t.id, now()) p
   cross join (select date_trunc('month', now() at time zone 'UTC')::date as month) m
   left join quota_months q on q.tenant_id = t.id and q.month = m.month
   where t.id = $1 and t.deleted_at is null`,
);

/**
 * Batch $2 of process $1, once, however often it is sent: who sends it again after its answer got lost finds it `done`. A
 * process that was taken for dead is put back in its place.
 */
export const USAGE_FLUSH = statement<{ applied: boolean; before: string | null }>(
  'usage.flush',
  `with turn as (
     insert into instances as i (id, role, flushed) values ($1, 'api', $2)
     on conflict (id) do update set flushed = excluded.flushed where i.flushed < excluded.flushed
     returning id
   ), counted as (
     insert into usage_deltas (tenant_id, key_id, day, metric, policy, amount)
     select tenant_id, key_id, day, metric, policy, amount
     from unnest($3::uuid[], $4::uuid[], $5::date[], $6::text[], $7::text[], $8::bigint[])
       as given (tenant_id, key_id, day, metric, policy, amount), turn
   )
   select exists (select from turn) as applied, (select flushed from instances where id = $1) as before`,
);

/** To the minute and only forwards. Locked in one order, so that two processes never wait for each other in a circle. */
export const USAGE_KEYS_USED = statement(
  'usage.keys_used',
  `with due as (
     select k.id, given.at from unnest($1::uuid[], $2::timestamptz[]) as given (id, at) join api_keys k on k.id = given.id
     where k.last_used_at is null or k.last_used_at < given.at order by k.id for no key update of k
   )
   update api_keys k set last_used_at = due.at from due
   where k.id = due.id and (k.last_used_at is null or k.last_used_at < due.at)`,
);

export interface UsageReads {
  /** undefined: there is no such tenant */
  tenant(tenantId: string): Promise<TenantUse | undefined>;
  /** Of the tenant, or of one of its keys, in either range. */
  counts(
    of: { tenantId: string; keyId?: string },
    ranges: readonly [DayRange, DayRange],
  ): Promise<DayCount[]>;
}

export function createUsageReads(db: Queryable): UsageReads {
  return {
    async tenant(tenantId) {
      const [row] = await db.run(USAGE_TENANT, [tryDecodeId('tenant', tenantId) ?? null]);
      if (row === undefined) return undefined;
      const plan: Plan = toPlan(row);
      return {
        plan,
        name: row.name,
        itemsReserved: Number(row.items_reserved),
        jobsRunning: row.jobs_running,
        monthEnd: monthEnd(row.month),
      };
    },
    async counts({ tenantId, keyId }, [a, b]) {
      const values = [decodeId('tenant', tenantId), a.from, a.to, b.from, b.to];
      const rows =
        keyId === undefined
          ? await db.run(USAGE_OF_TENANT, values)
          : await db.run(USAGE_OF_KEY, [...values, decodeId('key', keyId)]);
      return rows.map((row) => ({ ...row, amount: Number(row.amount) }));
    },
  };
}

export interface UsageWrites {
  /** Appends batch `no` of this process, once. False: it may be under way still; send it again. */
  append(no: number, counts: readonly RequestCount[]): Promise<boolean>;
  /** Notes when keys were used last, by their ids. */
  keysUsed(lastUsed: ReadonlyMap<string, Date>): Promise<void>;
}

/** @param instanceId UUID of this process, among `instances` */
export function createUsageWrites(db: Queryable, instanceId: string): UsageWrites {
  return {
    async append(no, counts) {
      const column = (pick: (count: RequestCount) => unknown): unknown[] => counts.map(pick);
      const [row] = await db.run(USAGE_FLUSH, [
        instanceId,
        no,
        column(({ tenantId }) => decodeId('tenant', tenantId)),
        column(({ keyId }) => decodeId('key', keyId)),
        column(({ day }) => day),
        column(({ metric }) => metric),
        column(({ policy }) => policy),
        column(({ amount }) => amount),
      ]);
      return row !== undefined && (row.applied || Number(row.before) >= no);
    },
    async keysUsed(lastUsed) {
      const ids = [...lastUsed.keys()].map((id) => decodeId('key', id));
      await db.run(USAGE_KEYS_USED, [ids, [...lastUsed.values()]]);
    },
  };
}
