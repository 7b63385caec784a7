/** All stores over one connection or transaction, and the unit of work that hands them out. */
import { createEventStore } from './event-store';
import { createIdempotencyStore } from './idempotency-store';
import { createInlineItemStore } from './item-store';
import { createJobStore } from './job-store';
import { createKeyStore } from './key-store';
import type { Database, Queryable } from './statement';
import { createTenantStore } from './tenant-store';

export interface PostgresStores {
  jobs: ReturnType<typeof createJobStore>;
  items: ReturnType<typeof createInlineItemStore>;
  keys: ReturnType<typeof createKeyStore>;
  tenants: ReturnType<typeof createTenantStore>;
  idempotency: ReturnType<typeof createIdempotencyStore>;
}

export function createStores(queryable: Queryable): PostgresStores {
  const events = createEventStore(queryable);
  return {
    jobs: createJobStore(queryable, { append: async (happened) => void (await events.append(happened)) }),
    items: createInlineItemStore(queryable),
    keys: createKeyStore(queryable),
    tenants: createTenantStore(queryable),
    idempotency: createIdempotencyStore(queryable),
  };
}

export type TransactStores = <T>(work: (stores: PostgresStores) => Promise<T>) => Promise<T>;

/** Commits when `work` resolves, rolls back when it rejects. */
export function createTransact(database: Database): TransactStores {
  return (work) => database.transaction((tx) => work(createStores(tx)));
}
