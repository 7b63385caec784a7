/** Writing events: what happened, together with its outbox row, in the transaction of the change. */
import { createHash } from 'node:crypto';
import { decodeId, encodeId, ID_PREFIXES, type IdKind, tryDecodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export interface NewEvent {
  /** `evt_…`; left out, it is derived from subject, type and occurrence, so that appending twice is appending once */
  id?: string;
  /** `tnt_…` */
  tenantId: string;
  /** e.g. `job.completed` */
  type: string;
  /** public id of what it happened to, e.g. `job_…` */
  subject: string;
  /** exact JSON text */
  data: string;
  /** tells apart events of one type that may happen to one subject again, e.g. the version of the desired state */
  occurrence?: number | string;
}

export interface EventStore {
  /** Inserts those that are new, in this order, as one statement; call it on the transaction of the change. */
  append(events: readonly NewEvent[]): Promise<void>;
}

/** The outbox row is made only for an event that was really inserted: a repeated one is not sent again. */
export const EVENTS_APPEND = statement(
  'event.append',
  `with given as (
     select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
       with ordinality as g (id, tenant_id, type, subject, data, place)
   ), made as (
     insert into events (id, tenant_id, type, subject, data)
     select id, tenant_id, type, subject, data from given order by place
     on conflict (id) do nothing
     returning id
   )
   insert into outbox (event_id)
   select id from made join given using (id) order by place`,
);

export function createEventStore(queryable: Queryable): EventStore {
  return {
    async append(events) {
      const rows = new Map<string, NewEvent>();
      for (const event of events) {
        const id = decodeId('event', event.id ?? eventIdFor(event));
        if (!rows.has(id)) rows.set(id, event);
      }
      if (rows.size === 0) return;
      const column = (pick: (event: NewEvent) => string): string[] => [...rows.values()].map(pick);
      await queryable.run(EVENTS_APPEND, [
        [...rows.keys()],
        column((event) => decodeId('tenant', event.tenantId)),
        column((event) => event.type),
        column((event) => event.subject),
        column((event) => event.data),
      ]);
    },
  };
}

/**
 * The id of a lifecycle event: a UUIDv8 of the subject's own timestamp (so it lies near the subject in time) and a hash.
 * @throws TypeError where the subject is no public id: such events bring an id of their own
 */
export function eventIdFor(event: Pick<NewEvent, 'subject' | 'type' | 'occurrence'>): string {
  const subject = uuidOf(event.subject);
  if (subject === undefined) throw new TypeError(`An event about ${event.subject} needs an id`);
  const key = `${event.subject}\n${event.type}\n${event.occurrence ?? 0}`;
  const hash = createHash('sha256').update(key).digest('hex');
  const variant = ((Number.parseInt(hash.slice(3, 4), 16) & 0x3) | 0x8).toString(16);
  const uuid = `${subject.slice(0, 13)}-8${hash.slice(0, 3)}-${variant}${hash.slice(4, 7)}-${hash.slice(7, 19)}`;
  return encodeId('event', uuid);
}

function uuidOf(publicId: string): string | undefined {
  for (const kind of Object.keys(ID_PREFIXES) as IdKind[]) {
    const uuid = tryDecodeId(kind, publicId);
    if (uuid !== undefined) return uuid;
  }
  return undefined;
}
