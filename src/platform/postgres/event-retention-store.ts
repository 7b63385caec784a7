/** Events that go by themselves: those past the retention of their tenant's plan, and all of a deleted tenant, with its types. */
import { EVENT_KEY_DAYS } from './publish-store';
import { type Queryable, statement } from './statement';

interface RemovedRow {
  /** the last tenant that was looked at; null: there was none left */
  last: string | null;
  removed: number;
}

/**
 * Up to $3 events of the $2 tenants after $1. What another worker is at is passed over. One look-up of an index per tenant that
 * has nothing to remove. Of a deleted tenant the last hour stays, so that its end is told to who follows it.
 */
export const EVENT_RETENTION_REMOVE = statement<RemovedRow>(
  'event.remove_old',
  `with page as materialized (
     select id, deleted_at from tenants where id > $1 order by id limit $2
   ), due as materialized (
     select old.id from page cross join lateral plan_of(page.id, now()) p cross join lateral (
       select e.id from events e
       where e.tenant_id = page.id and e.created_at <
         case when page.deleted_at is null then now() - make_interval(days => p.retention_days) else now() - interval '1 hour' end
       order by e.created_at limit $3 for update skip locked
     ) old limit $3
   ), gone as (
     delete from events where id = any (array(select id from due))
   ), undescribed as (
     delete from event_types where tenant_id = any (array(select id from page where deleted_at is not null))
   )
   select (select id from page order by id desc limit 1) as last, (select count(*)::int from due) as removed`,
);

/** By their places, since a join would read the whole table. One that is just being used anew is passed over: it is young then. */
export const EVENT_KEYS_PRUNE = statement<{ id: string }>(
  'event.prune_keys',
  `delete from event_keys where ctid = any (array(
     select ctid from event_keys where created_at < now() - interval '${EVENT_KEY_DAYS} days'
     order by created_at limit $1 for update skip locked
   )) returning id`,
);

const TENANTS_MAX = 1_000;
const EVENTS_MAX = 5_000;
const FIRST = '00000000-0000-0000-0000-000000000000';

export interface EventRetentionStore {
  /**
   * One statement's worth.
   * @param from what an earlier call answered as `next`; left out: from the first tenant
   * @returns `next` undefined: that was the last
   */
  removeOld(from?: string): Promise<{ removed: number; next: string | undefined }>;
  /** Ids of publishers that are not remembered any more. @returns how many; fewer than `limit`: none is left */
  pruneKeys(limit: number): Promise<number>;
}

export function createEventRetentionStore(db: Queryable): EventRetentionStore {
  return {
    async removeOld(from = FIRST) {
      const [row] = await db.run(EVENT_RETENTION_REMOVE, [from, TENANTS_MAX, EVENTS_MAX]);
      const { last = null, removed = 0 } = row ?? {};
      // A full batch: these tenants may have more.
      return { removed, next: removed === EVENTS_MAX ? from : (last ?? undefined) };
    },
    pruneKeys: async (limit) => (await db.run(EVENT_KEYS_PRUNE, [limit])).length,
  };
}
