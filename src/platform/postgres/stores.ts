/** All stores over one connection or transaction, and the unit of work that hands them out. */
import { createAccessLog } from './access-log';
import { createEventStore } from './event-store';
import { createIdempotencyStore } from './idempotency-store';
import { createInlineItemStore } from './item-store';
import { createJobStore } from './job-store';
import { createKeyStore } from './key-store';
import { createPlanStore } from './plan-store';
import { QuotaRefusal } from './quota-store';
import type { Database, Queryable } from './statement';
import { createSubscriptionStore } from './subscription-store';
import { createTenantStore } from './tenant-store';

export interface PostgresStores {
  jobs: ReturnType<typeof createJobStore>;
  items: ReturnType<typeof createInlineItemStore>;
  keys: ReturnType<typeof createKeyStore>;
  tenants: ReturnType<typeof createTenantStore>;
  subscriptions: ReturnType<typeof createSubscriptionStore>;
  plans: ReturnType<typeof createPlanStore>;
  idempotency: ReturnType<typeof createIdempotencyStore>;
  access: ReturnType<typeof createAccessLog>;
}

export function createStores(queryable: Queryable): PostgresStores {
  const events = createEventStore(queryable);
  return {
    jobs: createJobStore(queryable, { append: async (happened) => void (await events.append(happened)) }),
    items: createInlineItemStore(queryable),
    keys: createKeyStore(queryable),
    tenants: createTenantStore(queryable),
    subscriptions: createSubscriptionStore(queryable),
    plans: createPlanStore(queryable),
    idempotency: createIdempotencyStore(queryable),
    access: createAccessLog(queryable),
  };
}

export type TransactStores = <T>(work: (stores: PostgresStores) => Promise<T>) => Promise<T>;

/** Commits when `work` resolves, rolls back when it rejects; that a quota refused it is told all the same. */
export function createTransact(database: Database): TransactStores {
  return async (work) => {
    try {
      return await database.transaction((tx) => work(createStores(tx)));
    } catch (error) {
      if (error instanceof QuotaRefusal) await tell(database, error);
      throw error;
    }
  };
}

/** Once for a period and limit. A failure says nothing of the request: the next refusal tells of it. */
async function tell(database: Database, { event }: QuotaRefusal): Promise<void> {
  await createEventStore(database)
    .append([event])
    .catch(() => undefined);
}
