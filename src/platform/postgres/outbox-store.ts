/** The outbox: what the relay has yet to pass on. Rows are claimed by deleting, and a late commit is never slipped past (`Reach`). */
import { encodeId } from '../../domain/ids';
import type { StoredEvent } from '../../domain/realtime/event';
import { PUSHED_BYTES_MAX } from '../../domain/realtime/publication';
import { createOutboxReach, type Seen } from './outbox-reach';
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

/** In the order of transactions, so that their index is the way whatever share of the table is thought to fit. */
const LATE = `(select seq from outbox where xid = any ($2::xid8[]) and seq < $1 order by xid, seq)
     union all
     (select seq from outbox where xid >= $3::xid8 and seq < $1 order by xid, seq)`;

/** $1 to $3: `bounds` of `Reach`. `first`: of what is left; null: nothing is. */
export const OUTBOX_PEEK = statement<Seen & { first: string | null }>(
  'outbox.peek',
  `select least((select seq from outbox where seq >= $1 order by seq limit 1), (${LATE} limit 1)) as first,
     pg_snapshot_xmax(s)::text as up_to, array(select pg_snapshot_xip(s)::text) as under_way,
     (select case when is_called then last_value else 0 end from outbox_seq_seq) as drawn
   from pg_current_snapshot() s`,
);

export const OUTBOX_LOCK = statement<{ mine: boolean }>(
  'outbox.lock',
  `select pg_try_advisory_xact_lock(hashtextextended('millrace.outbox', 0)) as mine`,
);

/**
 * The oldest $4, looked for within the bounds $1 to $3; what the snapshot does not see stands beside the first one. A row whose event is gone
 * (retention) is claimed with nothing to pass on. Events of tenants with notification rules are put where `notification-queue.ts`
 * looks at them: how long their filters take is no concern of other tenants' events.
 */
export const OUTBOX_CLAIM = statement<ClaimedRow>(
  'outbox.claim',
  `with next as materialized (
     (select seq from (${LATE}) late order by seq limit $4)
     union all
     (select seq from outbox where seq >= $1 order by seq limit $4)
     order by seq limit $4
   ), claimed as (
     delete from outbox where seq = any (array(select seq from next)) returning seq, event_id
   ), queued as (
     insert into notification_queue (tenant_id, event_id)
     select e.tenant_id, e.id from claimed c join events e on e.id = c.event_id
     where exists (select from notification_rules r where r.tenant_id = e.tenant_id and r.enabled) order by c.seq
   )
   select c.seq, s.up_to, s.under_way, e.id, e.tenant_id, e.type, e.subject, e.created_at,
     case when big.bytes is null then e.data else 'null' end as data, big.bytes as omitted_bytes
   from claimed c left join events e on e.id = c.event_id
     left join lateral (
       select octet_length(e.data) as bytes where octet_length(e.data) > ${PUSHED_BYTES_MAX} and e.type not like 'job.%'
     ) big on true
     left join (
       select (select min(seq) from next) as seq, pg_snapshot_xmax(s)::text as up_to, array(select pg_snapshot_xip(s)::text) as under_way
       from pg_current_snapshot() s
     ) s on s.seq = c.seq
   order by c.seq`,
);

type ClaimedRow = { seq: string; up_to: string | null; under_way: string[] | null } & (
  | Required<StoredEvent>
  | { [Column in keyof StoredEvent]: null }
);

export const OUTBOX_NOTIFY = statement('outbox.notify', `select pg_notify('${OUTBOX_CHANNEL}', '')`);

/** @param reach of this process alone */
export function createOutboxStore(database: Database, reach = createOutboxReach()): OutboxStore {
  /** Idle, this is a look at the end of an index and no transaction. */
  const isEmpty = async (): Promise<boolean> => {
    const [peek] = await database.run(OUTBOX_PEEK, reach.bounds());
    if (peek === undefined) return true;
    return reach.look(peek, peek.first) ? peek.first === null : isEmpty();
  };
  return {
    async passOn(limit, pass) {
      if (await isEmpty()) return 0;
      const rows = await database.transaction(async (tx) => {
        const [lock] = await tx.run(OUTBOX_LOCK);
        if (lock?.mine !== true) return 'busy';
        const claimed = await tx.run(OUTBOX_CLAIM, [...reach.bounds(), limit]);
        const events = claimed.flatMap((row) => (row.id === null ? [] : [toEvent(row)]));
        if (events.length > 0) await pass(events);
        return claimed;
      });
      if (rows === 'busy') return rows;
      const [first, last] = [rows[0], rows.at(-1)];
      const { up_to, under_way } = first ?? {};
      if (up_to && under_way && last) reach.passed(last.seq, { up_to, under_way });
      return rows.length;
    },
  };
}

function toEvent({
  id,
  tenant_id,
  type,
  subject,
  data,
  omitted_bytes,
  created_at,
}: Required<StoredEvent>): StoredEvent {
  return {
    id: encodeId('event', id),
    tenant_id: encodeId('tenant', tenant_id),
    type,
    subject,
    data,
    omitted_bytes,
    created_at,
  };
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
