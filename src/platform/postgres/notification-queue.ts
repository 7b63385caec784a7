/**
 * Notifications of the events that the relay has passed on: a tenant's turn at a time, since filters are the tenants' own and
 * may take as long as they are allowed to. What is told live is in the list, and the other way round.
 */
import { encodeId, decodeId } from '../../domain/ids';
import type { Notification } from '../../domain/notification/notification';
import { NOTIFICATION_COLUMNS, type NotificationRow, toNotification } from './notification-store';
import { type Database, statement } from './statement';

export const NOTIFICATION_QUEUE_NEXT = statement<{ tenant_id: string }>(
  'notification_queue.next',
  'select tenant_id from notification_queue where tenant_id > $1 order by tenant_id, seq limit 1',
);

export const NOTIFICATION_QUEUE_LOCK = statement<{ mine: boolean }>(
  'notification_queue.lock',
  `select pg_try_advisory_xact_lock(hashtextextended('millrace.notification_queue/' || $1, 0)) as mine`,
);

/** For what follows in the transaction. */
export const NOTIFICATION_QUEUE_PATIENCE = statement(
  'notification_queue.patience',
  `set local statement_timeout = '2s'`,
);

export const NOTIFICATION_QUEUE_CLAIM = statement<{ event_id: string }>(
  'notification_queue.claim',
  `delete from notification_queue where seq = any (
     array(select seq from notification_queue where tenant_id = $1 order by seq limit $2)
   ) returning event_id`,
);

export const NOTIFICATION_QUEUE_DROP = statement(
  'notification_queue.drop',
  'delete from notification_queue where tenant_id = $1 and event_id = $2',
);

/**
 * One for each of the events $2 and enabled rule of the tenant that names its type and whose filter passes it. A document is
 * made once for an event, however many filters look at it, and only if one does. The id is a UUIDv8 of the event's time and a
 * hash, so that an event that is looked at again makes the same one.
 */
export const NOTIFICATION_MAKE = statement<NotificationRow>(
  'notification.make',
  `with happened as materialized (
     select e.id, e.type, e.subject, e.created_at, type_patterns(e.type) as patterns from events e
     where e.id = any ($2) and e.tenant_id = $1
   ), fit as materialized (
     select h.*, r.id as rule_id, r.name, r.predicate
     from happened h join notification_rules r on r.tenant_id = $1 and r.enabled and r.event_types && h.patterns
   ), document as materialized (
     select e.id, event_document(e) as whole from events e
     where e.id in (select id from fit where predicate is not null)
   ), made as (
     insert into notifications (id, tenant_id, rule_id, rule_name, event_id, event_type, subject, created_at)
     select overlay(overlay(
         left(uuid_at(f.created_at)::text, 13) || right(md5(f.id::text || f.rule_id::text)::uuid::text, 23)
         placing '-8' from 14) placing '-a' from 19)::uuid,
       $1, f.rule_id, f.name, f.id, f.type, f.subject, f.created_at
     from fit f left join document d using (id)
     where f.predicate is null or (d.whole @@ f.predicate) is true
     on conflict (id) do nothing returning ${NOTIFICATION_COLUMNS}
   )
   select * from made order by id`,
);

/**
 * `busy`: another process is at this tenant. `too_much`: so many at once take too long. `dropped`: not even this one event
 * could be looked at, again and again where it took too long, and no notification is made of it.
 */
export type Turn =
  | { state: 'done'; events: number }
  | { state: 'busy' | 'too_much' }
  | { state: 'dropped'; eventId: string; error: Error };

export interface NotificationQueue {
  /** The first tenant after this one whose events wait; undefined: none. */
  next(after?: string): Promise<string | undefined>;
  /** Makes the notifications of the oldest events and hands them to `tell`; when that rejects, nothing was made. */
  take(
    tenantId: string,
    limit: number,
    tell: (notifications: readonly Notification[]) => Promise<void>,
  ): Promise<Turn>;
}

const FIRST = '00000000-0000-0000-0000-000000000000';
/** A database that stands still for a moment is no fault of the event. */
const TIMEOUTS_MAX = 3;

export function createNotificationQueue(db: Database): NotificationQueue {
  /** by tenant: the one event that a turn was about, and how often in a row that took too long */
  const timeouts = new Map<string, { event: string; times: number }>();
  const timesOf = (tenant: string, event: string): number => {
    const known = timeouts.get(tenant);
    const times = known?.event === event ? known.times + 1 : 1;
    timeouts.set(tenant, { event, times });
    return times;
  };
  return {
    async next(after) {
      const [row] = await db.run(NOTIFICATION_QUEUE_NEXT, [
        after === undefined ? FIRST : decodeId('tenant', after),
      ]);
      return row && encodeId('tenant', row.tenant_id);
    },

    async take(tenantId, limit, tell) {
      const tenant = decodeId('tenant', tenantId);
      let events: string[] = [];
      try {
        return await db.transaction(async (tx): Promise<Turn> => {
          const [lock] = await tx.run(NOTIFICATION_QUEUE_LOCK, [tenant]);
          if (lock?.mine !== true) return { state: 'busy' };
          await tx.run(NOTIFICATION_QUEUE_PATIENCE);
          events = (await tx.run(NOTIFICATION_QUEUE_CLAIM, [tenant, limit])).map((row) => row.event_id);
          const made = await tx.run(NOTIFICATION_MAKE, [tenant, events]);
          if (made.length > 0) await tell(made.map(toNotification));
          timeouts.delete(tenant);
          return { state: 'done', events: events.length };
        });
      } catch (error) {
        const [first] = events;
        const fault = faultOf(error);
        if (first === undefined || fault === undefined) throw error;
        if (events.length > 1) return { state: 'too_much' };
        if (fault.isTimeout && timesOf(tenant, first) < TIMEOUTS_MAX) return { state: 'too_much' };
        timeouts.delete(tenant);
        await db.run(NOTIFICATION_QUEUE_DROP, [tenant, first]);
        return { state: 'dropped', eventId: encodeId('event', first), error: fault.error };
      }
    },
  };
}

/** Classes 22 (data) and 54 (limits): it would be so again. query_canceled: it took too long. */
const AT_FAULT = /^(22|54)/;
const TIMEOUT = '57014';

function faultOf(error: unknown): { error: Error; isTimeout: boolean } | undefined {
  if (!(error instanceof Error)) return undefined;
  const origin = error.cause instanceof Error ? error.cause : error;
  const code = 'code' in origin ? String(origin.code) : '';
  const isTimeout = code === TIMEOUT;
  return isTimeout || AT_FAULT.test(code) ? { error, isTimeout } : undefined;
}
