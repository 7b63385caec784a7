/** The outbox: what the relay has yet to pass on. Rows are claimed by deleting, so a late commit is never slipped past. */
import { encodeId } from '../../domain/ids';
import type { StoredEvent } from '../../domain/realtime/event';
import { PUSHED_BYTES_MAX } from '../../domain/realtime/publication';
import { type Database, type Queryable, statement } from './statement';

export const OUTBOX_CHANNEL = 'millrace_outbox';

export interface OutboxStore {
  /**
   * Hands the oldest events to `pass` and forgets them once it resolves; when it rejects, they stay. One caller at a time over
   * all processes, so that the order of one subject's events holds.
   * @returns how many were passed on; fewer than `limit` means that none are left. `busy`: another process is at it.
   */
  passOn(limit: number, pass: (events: readonly StoredEvent[]) => Promise<void>): Promise<number | 'busy'>;
}

export const OUTBOX_PEEK = statement<{ seq: string }>(
  'outbox.peek',
  'select seq from outbox order by seq limit 1',
);

export const OUTBOX_LOCK = statement<{ mine: boolean }>(
  'outbox.lock',
  `select pg_try_advisory_xact_lock(hashtextextended('millrace.outbox', 0)) as mine`,
);

/**
 * A row whose event is gone (retention) is claimed with nothing to pass on. Events of tenants with notification rules are put
 * where `notification-queue.ts` looks at them: how long their filters take is no concern of other tenants' events.
 */
export const OUTBOX_CLAIM = statement<ClaimedRow>(
  'outbox.claim',
  `with claimed as (
     delete from outbox where seq = any (array(select seq from outbox order by seq limit $1)) returning seq, event_id
   ), queued as (
     insert into notification_queue (tenant_id, event_id)
     select e.tenant_id, e.id from claimed c join events e on e.id = c.event_id
     where exists (select from notification_rules r where r.tenant_id = e.tenant_id and r.enabled) order by c.seq
   )
   select e.id, e.tenant_id, e.type, e.subject, e.created_at,
     case when big.bytes is null then e.data else 'null' end as data, big.bytes as omitted_bytes
   from claimed c left join events e on e.id = c.event_id
     left join lateral (
       select octet_length(e.data) as bytes where octet_length(e.data) > ${PUSHED_BYTES_MAX} and e.type not like 'job.%'
     ) big on true
   order by c.seq`,
);

type ClaimedRow = Required<StoredEvent> | { [Column in keyof StoredEvent]: null };

export const OUTBOX_NOTIFY = statement('outbox.notify', `select pg_notify('${OUTBOX_CHANNEL}', '')`);

export function createOutboxStore(database: Database): OutboxStore {
  return {
    async passOn(limit, pass) {
      // Idle, this is one read of an empty index and no transaction.
      if ((await database.run(OUTBOX_PEEK)).length === 0) return 0;
      return database.transaction(async (tx) => {
        const [lock] = await tx.run(OUTBOX_LOCK);
        if (lock?.mine !== true) return 'busy';
        const rows = await tx.run(OUTBOX_CLAIM, [limit]);
        const events = rows.flatMap((row) => (row.id === null ? [] : [toEvent(row)]));
        if (events.length > 0) await pass(events);
        return rows.length;
      });
    },
  };
}

function toEvent(row: StoredEvent): StoredEvent {
  return { ...row, id: encodeId('event', row.id), tenant_id: encodeId('tenant', row.tenant_id) };
}

/**
 * Makes the function that writers call after their commit: relays look at once instead of at their next poll. Many calls in a
 * row are one or two notifications. It never throws and never waits: a wake-up lost costs one poll interval.
 */
export function createOutboxWake(queryable: Queryable): () => void {
  let underWay = false;
  let again = false;
  const send = async (): Promise<void> => {
    underWay = true;
    do {
      again = false;
      await queryable.run(OUTBOX_NOTIFY).catch(() => undefined);
    } while (again);
    underWay = false;
  };
  return () => {
    if (underWay) again = true;
    else void send();
  };
}
