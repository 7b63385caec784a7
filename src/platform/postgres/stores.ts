/** All stores over one connection or transaction, and the unit of work that hands them out. */
import { createAccessLog } from './access-log';
import { createBroadcastStore } from './broadcast-store';
import { createEventStore } from './event-store';
import { createIdempotencyStore } from './idempotency-store';
import { createInlineItemStore } from './item-store';
import { createJobStore } from './job-store';
import { tellingKeys } from './key-events';
import { createKeyStore } from './key-store';
import { createNotificationRuleStore } from './notification-rule-store';
import { createNotificationStore, type NotificationStore } from './notification-store';
import { createPlanStore } from './plan-store';
import { createPublishStore } from './publish-store';
import { QuotaRefusal } from './quota-store';
import type { Database, Queryable } from './statement';
import { createSubscriptionStore } from './subscription-store';
import { tellingSubscriptions, tellingTenants } from './tenant-events';
import { createTenantStore } from './tenant-store';
import { createTicketStore } from './ticket-store';

export interface PostgresStores {
  jobs: ReturnType<typeof createJobStore>;
  items: ReturnType<typeof createInlineItemStore>;
  keys: ReturnType<typeof createKeyStore>;
  tenants: ReturnType<typeof createTenantStore>;
  subscriptions: ReturnType<typeof createSubscriptionStore>;
  plans: ReturnType<typeof createPlanStore>;
  events: ReturnType<typeof createPublishStore>;
  broadcasts: ReturnType<typeof createBroadcastStore>;
  tickets: ReturnType<typeof createTicketStore>;
  notifications: NotificationStore;
  notificationRules: ReturnType<typeof createNotificationRuleStore>;
  idempotency: ReturnType<typeof createIdempotencyStore>;
  access: ReturnType<typeof createAccessLog>;
}

export function createStores(queryable: Queryable): PostgresStores {
  const events = createEventStore(queryable);
  const tenants = createTenantStore(queryable);
  return {
    jobs: createJobStore(queryable, { append: async (happened) => void (await events.append(happened)) }),
    items: createInlineItemStore(queryable),
    keys: tellingKeys(createKeyStore(queryable), events),
    tenants: tellingTenants(tenants, events),
    subscriptions: tellingSubscriptions(createSubscriptionStore(queryable), { tenants, events }),
    plans: createPlanStore(queryable),
    events: createPublishStore(queryable),
    broadcasts: createBroadcastStore(queryable),
    tickets: createTicketStore(queryable),
    notifications: createNotificationStore(queryable),
    notificationRules: createNotificationRuleStore(queryable),
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
