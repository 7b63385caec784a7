/**
 * Items per month. A job reserves all of its items when it is sealed, by one conditional upsert, so that jobs that are sealed at
 * once never pass the plan together; what it has not attempted when it ends goes back to the month it came from (`run.finish`).
 */
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { monthEnd } from '../../domain/usage/period';
import { crossings, ITEMS_POLICY, quotaEvent, type QuotaUse, refusalEvent } from '../../domain/usage/quota';
import type { NewEvent } from './event-store';
import type { EventAppender } from './job-events';
import { type Queryable, statement } from './statement';

interface QuotaRow {
  /** `YYYY-MM-DD` */
  month: string;
  /** bigints: as text; `allowed` null: no limit */
  used: string;
  allowed: string | null;
}

const THIS_MONTH = `date_trunc('month', now() at time zone 'UTC')::date`;

/** No row: $2 more are more than the plan in force right now allows. */
export const QUOTA_RESERVE = statement<QuotaRow>(
  'quota.reserve',
  `with plan as (select items_per_month as allowed from plan_of($1, now()))
   insert into quota_months as q (tenant_id, month, items)
   select $1, ${THIS_MONTH}, $2 from plan where allowed is null or $2::bigint <= allowed
   on conflict (tenant_id, month) do update set items = q.items + excluded.items
   where (select allowed from plan) is null or q.items + excluded.items <= (select allowed from plan)
   returning q.month::text as month, q.items as used, (select allowed from plan) as allowed`,
);

export const QUOTA_LOOK = statement<QuotaRow & { resets_in: number }>(
  'quota.look',
  `select m.month::text as month, coalesce(q.items, 0) as used, p.items_per_month as allowed,
     extract(epoch from (m.month + interval '1 month') at time zone 'UTC' - now())::float8 as resets_in
   from plan_of($1, now()) p cross join (select ${THIS_MONTH} as month) m
   left join quota_months q on q.tenant_id = $1 and q.month = m.month`,
);

/** Of a job that ends (a CTE named `ended`): what it had reserved and did not attempt; or attempted beyond that. */
export const QUOTA_GIVE_BACK = `update quota_months q set items = greatest(0, q.items - (e.quota_items - e.succeeded - e.failed))
  from ended e where q.tenant_id = e.tenant_id and q.month = e.quota_month and e.quota_items <> e.succeeded + e.failed`;

/** It brings along what is to be told of it once its transaction is rolled back. */
export class QuotaRefusal extends AppError {
  constructor(
    detail: string,
    readonly event: NewEvent,
    /** left out: waiting does not help */
    retryAfterSeconds?: number,
  ) {
    super('quota_exceeded', detail, {
      violatedPolicies: [ITEMS_POLICY],
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    });
  }
}

/**
 * Takes `items` of the tenant's month. The month's row stays locked to the end of the transaction: let little follow.
 * @returns the month, `YYYY-MM-DD`, to be noted in the job
 * @throws QuotaRefusal where the month does not have as many left
 */
export async function reserveItems(
  { db, events }: { db: Queryable; events: EventAppender },
  tenantId: string,
  items: number,
): Promise<string> {
  const [row] = await db.run(QUOTA_RESERVE, [decodeId('tenant', tenantId), items]);
  if (row === undefined) throw await refusal(db, tenantId, items);
  if (row.allowed !== null) {
    const use = toUse(tenantId, { ...row, allowed: row.allowed });
    const happened = crossings(use.allowed, { before: use.used - items, after: use.used });
    if (happened.length > 0) await events.append(happened.map((type) => quotaEvent(type, use)));
  }
  return row.month;
}

async function refusal(db: Queryable, tenantId: string, items: number): Promise<QuotaRefusal> {
  const [row] = await db.run(QUOTA_LOOK, [decodeId('tenant', tenantId)]);
  if (row === undefined) throw new Error('a tenant has a plan');
  const use = toUse(tenantId, { ...row, allowed: row.allowed ?? '0' });
  const left = Math.max(0, use.allowed - use.used);
  const detail = `The job has ${items} items; of the ${use.allowed} that the plan allows in a month, ${left} are left.`;
  const fitsNextMonth = items <= use.allowed;
  const event = left === 0 ? quotaEvent('quota.exceeded', use) : refusalEvent(use);
  return new QuotaRefusal(detail, event, fitsNextMonth ? Math.ceil(row.resets_in) : undefined);
}

function toUse(tenantId: string, row: { month: string; used: string; allowed: string }): QuotaUse {
  return {
    tenantId,
    quota: 'items_per_month',
    used: Number(row.used),
    allowed: Number(row.allowed),
    periodStart: row.month,
    periodEnd: monthEnd(row.month),
  };
}
