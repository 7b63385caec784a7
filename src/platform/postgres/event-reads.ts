/** Reading the event log of one tenant: each page is bounded by rows and by bytes. */
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

interface EventRow {
  id: string;
  tenant_id: string;
  type: string;
  /** public id of what it happened to, or the publisher's own; empty: none */
  subject: string;
  /** exact JSON text */
  data: string;
  event_id: string | null;
  channels: string[];
  created_at: Date;
  /** bigints: as text */
  at_us: string;
  seq: string;
}

interface ListedRow extends EventRow {
  /** rows there were before the page was cut to its bytes */
  found: number;
}

const COLUMNS = `e.id, e.tenant_id, e.type, e.subject, e.data, e.event_id, e.channels, e.created_at,
  (extract(epoch from e.created_at) * 1000000)::bigint as at_us, e.seq`;

export const EVENT_FIND = statement<EventRow>(
  'event.find',
  `select ${COLUMNS} from events e where e.id = $2 and e.tenant_id = $1`,
);

/** Whole microseconds since 1970 as a time, without the detour over a double. */
const timeOf = (parameter: string): string =>
  `'epoch'::timestamptz + ${parameter}::bigint * interval '1 microsecond'`;

/** Behind the cursor and within the time asked for; what is null lets all pass. */
const WITHIN = `($2::timestamptz is null or e.created_at >= $2) and ($3::timestamptz is null or e.created_at < $3)
  and ($4::bigint is null or (e.created_at, e.seq) < (${timeOf('$4')}, $5::bigint))`;

const NEWEST = 'order by e.created_at desc, e.seq desc limit $6';

const PAGE_BYTES_MAX = 4 * 1024 * 1024;

/** Of these rows, as many as the bytes of a page are enough for; one always. */
const cut = (rows: string): string => `select * from (
     select e.*, count(*) over ()::int as found, sum(octet_length(e.data)) over (
       order by e.created_at desc, e.seq desc rows between unbounded preceding and 1 preceding
     ) as before from (${rows}) e
   ) e where before is null or before < ${PAGE_BYTES_MAX} order by e.created_at desc, e.seq desc`;

export const EVENT_LIST = statement<ListedRow>(
  'event.list',
  cut(`select ${COLUMNS} from events e where e.tenant_id = $1 and ${WITHIN} ${NEWEST}`),
);

/** Of few types: the newest of each, by its own stretch of the index. */
export const EVENT_LIST_TYPES = statement<ListedRow>(
  'event.list_types',
  cut(`select e.* from unnest($7::text[]) t (type) cross join lateral (
     select ${COLUMNS} from events e where e.tenant_id = $1 and e.type = t.type and ${WITHIN} ${NEWEST}
   ) e ${NEWEST}`),
);

/** Where so many types are meant that most of what lies in the time will do. */
export const EVENT_LIST_MATCHING = statement<ListedRow>(
  'event.list_matching',
  cut(`select ${COLUMNS} from events e
   where e.tenant_id = $1 and (e.type = any($7) or e.type ^@ any($8)) and ${WITHIN} ${NEWEST}`),
);

/** $7, $8 null: of all types. */
export const EVENT_LIST_SUBJECT = statement<ListedRow>(
  'event.list_subject',
  cut(`select ${COLUMNS} from events e
   where e.tenant_id = $1 and e.subject = $9 and e.subject <> '' and ($7::text[] is null or e.type = any($7) or e.type ^@ any($8::text[]))
     and ${WITHIN} ${NEWEST}`),
);

/** One look-up for each type that there is from $2, a word with its dot, up to $3, the same with what follows the dot; up to $4. */
export const EVENT_TYPES_BELOW = statement<{ type: string }>(
  'event.types_below',
  `with recursive below as (
     (select e.type from events e where e.tenant_id = $1 and e.type > $2 and e.type < $3 order by e.type limit 1)
     union all
     select (select e.type from events e where e.tenant_id = $1 and e.type > b.type and e.type < $3 order by e.type limit 1)
     from below b where b.type is not null
   )
   select type from below where type is not null limit $4`,
);

/** Ids as the API shows them. */
export interface EventRecord extends Omit<EventRow, 'at_us' | 'seq'> {
  /** where it stands in the list */
  position: string;
}

export interface EventPage {
  tenantId: string;
  types?: { exact: readonly string[]; prefixes: readonly string[] } | undefined;
  subject?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  /** `position` of the last event of the page before */
  after?: string | undefined;
  limit: number;
}

/** More types than this are not looked up one by one. */
const TYPES_MAX = 500;

/** Fulfils `EventReads` of src/api/events/ports.ts. */
export function createEventReads(db: Queryable) {
  return {
    find: async (tenantId: string, eventId: string): Promise<EventRecord | undefined> => {
      const uuid = tryDecodeId('event', eventId);
      if (uuid === undefined) return undefined;
      const [row] = await db.run(EVENT_FIND, [decodeId('tenant', tenantId), uuid]);
      return row && toEvent(row);
    },

    /** Newest first; fewer than `limit` where they are large. */
    list: async (page: EventPage): Promise<{ events: EventRecord[]; more: boolean }> => {
      const rows = await rowsOf(db, { ...page, limit: page.limit + 1 });
      const events = rows.slice(0, page.limit).map(toEvent);
      return { events, more: (rows[0]?.found ?? 0) > events.length };
    },
  };
}

async function rowsOf(db: Queryable, page: EventPage): Promise<ListedRow[]> {
  const { types, subject } = page;
  const values = rangeOf(page);
  if (subject !== undefined) {
    return db.run(EVENT_LIST_SUBJECT, [...values, types?.exact ?? null, types?.prefixes ?? null, subject]);
  }
  if (types === undefined) return db.run(EVENT_LIST, values);
  const named = new Set(types.exact);
  for (const prefix of types.prefixes) {
    const below = await db.run(EVENT_TYPES_BELOW, [
      values[0],
      prefix,
      `${prefix.slice(0, -1)}/`,
      TYPES_MAX + 1,
    ]);
    for (const { type } of below) named.add(type);
    if (named.size > TYPES_MAX) {
      return db.run(EVENT_LIST_MATCHING, [...values, types.exact, types.prefixes]);
    }
  }
  return db.run(EVENT_LIST_TYPES, [...values, [...named]]);
}

function rangeOf({ tenantId, since, until, after, limit }: EventPage): unknown[] {
  const [atUs = null, seq = null] = after?.split('.') ?? [];
  return [decodeId('tenant', tenantId), since ?? null, until ?? null, atUs, seq, limit];
}

function toEvent(row: EventRow): EventRecord {
  const { type, subject, data, event_id, channels, created_at, at_us, seq } = row;
  const [id, tenant_id] = [encodeId('event', row.id), encodeId('tenant', row.tenant_id)];
  return { id, tenant_id, type, subject, data, event_id, channels, created_at, position: `${at_us}.${seq}` };
}
