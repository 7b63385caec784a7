/** Stores of tenants and their subscriptions whose changes are told, each in the transaction of the change. */
import type { TenantEventType } from '../../domain/events/lifecycle';
import { newId } from '../clock';
import type { EventAppender } from './job-events';
import type { createSubscriptionStore } from './subscription-store';
import type { createTenantStore, TenantRecord } from './tenant-store';

type TenantStore = ReturnType<typeof createTenantStore>;
type SubscriptionStore = ReturnType<typeof createSubscriptionStore>;

/** @param events of the same transaction as `tenants`. The event is the tenant's own. */
export function tellingTenants(tenants: TenantStore, events: EventAppender): TenantStore {
  const told = async (type: TenantEventType, change: Promise<TenantRecord>): Promise<TenantRecord> => {
    const tenant = await change;
    await tell(events, type, { tenantId: tenant.id, data: toData(tenant) });
    return tenant;
  };
  return {
    ...tenants,
    insert: (tenant) => told('tenant.created', tenants.insert(tenant)),
    rename: (tenantId, name) => told('tenant.updated', tenants.rename(tenantId, name)),
    remove: async (tenantId, asker) => {
      const before = await tenants.find(tenantId);
      await tenants.remove(tenantId, asker);
      if (before !== undefined) await tell(events, 'tenant.deleted', { tenantId, data: toData(before) });
    },
  };
}

export function tellingSubscriptions(
  subscriptions: SubscriptionStore,
  { tenants, events }: { tenants: Pick<TenantStore, 'find'>; events: EventAppender },
): SubscriptionStore {
  return {
    replace: async (tenantId, wish) => {
      await subscriptions.replace(tenantId, wish);
      const tenant = await tenants.find(tenantId);
      if (tenant === undefined) return;
      const { subscription, scheduled } = tenant;
      const data = { ...toData(tenant), subscription, scheduled };
      await tell(events, 'tenant.subscription_changed', { tenantId, data });
    },
  };
}

function toData({ id, name, plan }: TenantRecord) {
  return { tenant_id: id, name, plan };
}

/** What happens to a tenant once has a derived id, so that it is told once. */
const ONCE: ReadonlySet<TenantEventType> = new Set(['tenant.created', 'tenant.deleted']);

async function tell(
  events: EventAppender,
  type: TenantEventType,
  { tenantId, data }: { tenantId: string; data: object },
): Promise<void> {
  const id = ONCE.has(type) ? {} : { id: newId('event') };
  await events.append([{ ...id, tenantId, type, subject: tenantId, data: JSON.stringify(data) }]);
}
