/**
 * A tenant's plan over time: stretches that never overlap, kept also when they are over. Which is in force is decided by the time
 * alone (`plan_of`), so nobody has to do anything when one begins or ends.
 */
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { ACCESS_CHANGED } from './access-log';
import { PLAN_FIND } from './plan-store';
import { type Queryable, statement } from './statement';

/** To the millisecond, as times are shown: asking again with a time that was shown replaces what began then. */
export const SUBSCRIPTION_BEGIN = statement<{ valid_from: Date }>(
  'subscription.begin',
  `select coalesce($2::timestamptz, date_trunc('milliseconds', now())) as valid_from from tenants
   where id = $1 and deleted_at is null`,
);

export const SUBSCRIPTION_DROP = statement(
  'subscription.drop',
  `delete from subscriptions where tenant_id = $1 and valid_from >= $2`,
);

export const SUBSCRIPTION_CUT = statement(
  'subscription.cut',
  `update subscriptions set valid_until = $2
   where tenant_id = $1 and valid_from < $2 and (valid_until is null or valid_until > $2)`,
);

export const SUBSCRIPTION_INSERT = statement(
  'subscription.insert',
  `insert into subscriptions (tenant_id, plan, valid_from, valid_until) values ($1, $2, $3, $4)`,
);

export interface NewSubscription {
  plan: string;
  validFrom?: Date | undefined;
  validUntil?: Date | undefined;
}

/** @param db a transaction. Fulfils `SubscriptionStore` of src/api/tenant/ports.ts. */
export function createSubscriptionStore(db: Queryable) {
  return {
    replace: (tenantId: string, subscription: NewSubscription) => replace(db, tenantId, subscription),
  };
}

async function replace(db: Queryable, tenantId: string, wish: NewSubscription): Promise<void> {
  const uuid = tryDecodeId('tenant', tenantId);
  // First, so that changes of one tenant come one after the other.
  await db.run(ACCESS_CHANGED, [tenantId]);
  const [found] = await db.run(SUBSCRIPTION_BEGIN, [uuid, wish.validFrom]);
  if (found === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
  await requirePlan(db, wish.plan);
  const { valid_from: validFrom } = found;
  if (wish.validUntil !== undefined && wish.validUntil <= validFrom) {
    const errors = [{ pointer: '/valid_until', detail: 'must be after valid_from' }];
    throw new AppError('validation_failed', '/valid_until: must be after valid_from', { errors });
  }
  await db.run(SUBSCRIPTION_DROP, [uuid, validFrom]);
  await db.run(SUBSCRIPTION_CUT, [uuid, validFrom]);
  await db.run(SUBSCRIPTION_INSERT, [uuid, wish.plan, validFrom, wish.validUntil]);
}

/** Plans are never removed, so what is there now is there at the end of the transaction. @throws AppError `unknown_plan` */
export async function requirePlan(db: Queryable, name: string): Promise<void> {
  if ((await db.run(PLAN_FIND, [name])).length > 0) return;
  const detail = `There is no plan ${JSON.stringify(name)}.`;
  throw new AppError('unknown_plan', detail, { errors: [{ pointer: '/plan', detail }] });
}
