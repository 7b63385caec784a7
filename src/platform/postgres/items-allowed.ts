/** How many items one job may have, by the plan that is in force when it is sealed. */
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export const ITEMS_ALLOWED = statement<{ items_per_job: number | null }>(
  'items.allowed',
  `select items_per_job from plan_of($1, now())`,
);

/** @throws AppError `too_many_items` */
export async function refuseTooMany(db: Queryable, tenantId: string, items: number): Promise<void> {
  const [plan] = await db.run(ITEMS_ALLOWED, [decodeId('tenant', tenantId)]);
  const allowed = plan?.items_per_job ?? null;
  if (allowed === null || items <= allowed) return;
  throw new AppError('too_many_items', `The job has ${items} items; the plan allows ${allowed}.`);
}
