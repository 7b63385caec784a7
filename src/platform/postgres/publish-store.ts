/** Publishing tenants' own events: one statement, whatever their number, so all of them stand or none. */
import { AppError } from '../../domain/errors';
import { decodeId, encodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export const EVENT_KEY_DAYS = 7;

interface UncheckedRow {
  /** of a strict type that is in the way; null: none is, and events were written */
  name: string | null;
  version: string | null;
  schema: string | null;
}

interface PlainRow extends UncheckedRow {
  created_at: Date;
}

interface KeyedRow extends UncheckedRow {
  id: string | null;
  created_at: Date | null;
}

/**
 * $1 to $6: the events, side by side. $7, $8: strict types that the caller has checked them against, with the versions it knew.
 * Where there are others, nothing is written, and they are answered.
 */
const UNCHECKED = `unchecked as materialized (
     select t.name, t.version, t.schema from event_types t
     where t.tenant_id = $1 and t.name = any($3) and t.strict and t.schema is not null
       and not exists (select from unnest($7::text[], $8::uuid[]) c (name, version) where c.name = t.name and c.version = t.version)
   )`;

/** Outbox rows in the order of the events. */
const QUEUED = `queued as (insert into outbox (event_id) select id from made order by seq)`;

/** Events without an `event_id`. It answers one row, or the unchecked types. */
export const EVENTS_PUBLISH = statement<PlainRow>(
  'event.publish',
  `with ${UNCHECKED}, made as (
     insert into events (id, tenant_id, type, subject, data, channels)
     select g.id, $1, g.type, g.subject, g.data, g.channels::text[]
     from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality
       as g (id, type, subject, data, channels, place)
     where not exists (select from unchecked) order by g.place
     returning id, seq
   ), ${QUEUED}
   select now() as created_at, u.name, u.version, u.schema from (select) one left join unchecked u on true`,
);

/** Of `event_keys k`: it may be used anew. */
const FORGOTTEN = `k.created_at < now() - interval '${EVENT_KEY_DAYS} days'`;

/**
 * $9, $10: `event_id`s, null where an event has none, and fingerprints. One that is known answers the first event; with another
 * content, the whole statement fails (`event_id_used`). A key that somebody else is just writing is waited for.
 */
export const EVENTS_PUBLISH_KEYED = statement<KeyedRow>(
  'event.publish_keyed',
  `with given as (
     select * from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $9::text[], $10::bytea[])
       with ordinality as g (id, type, subject, data, channels, event_id, fingerprint, place)
   ), ${UNCHECKED}, keys as (
     insert into event_keys as k (tenant_id, event_id, fingerprint, id)
     select $1, event_id, fingerprint, id from given
     where event_id is not null and not exists (select from unchecked) order by event_id
     on conflict (tenant_id, event_id) do update set
       fingerprint = case when ${FORGOTTEN} then excluded.fingerprint else k.fingerprint end,
       id = case when ${FORGOTTEN} then excluded.id else k.id end,
       created_at = case when ${FORGOTTEN} then excluded.created_at else k.created_at end
     returning k.event_id, k.fingerprint, k.id, k.created_at
   ), made as (
     insert into events (id, tenant_id, type, subject, data, channels, event_id)
     select g.id, $1, g.type, g.subject, g.data, g.channels::text[], g.event_id
     from given g left join keys k using (event_id)
     where (g.event_id is null or k.id = g.id) and not exists (select from unchecked) order by g.place
     returning id, seq
   ), ${QUEUED}
   select g.place, case when k.fingerprint <> g.fingerprint then event_id_used(g.event_id)::uuid else coalesce(k.id, g.id) end as id,
     coalesce(k.created_at, now()) as created_at, null as name, null::uuid as version, null as schema
   from given g left join keys k using (event_id) where not exists (select from unchecked)
   union all
   select 0, null, null, name, version, schema from unchecked
   order by place`,
);

interface NewPublication {
  /** `evt_…` */
  id: string;
  type: string;
  subject: string;
  /** exact JSON text */
  data: string;
  channels: readonly string[];
  /** of one with an `event_id`: that, and SHA-256 over the content */
  key?: { eventId: string; fingerprint: Uint8Array } | undefined;
}

interface CheckedType {
  name: string;
  version: string;
}

interface Batch {
  tenantId: string;
  events: readonly NewPublication[];
  checked: readonly CheckedType[];
}

type PublishOutcome =
  | { kind: 'published'; events: { id: string; createdAt: Date }[] }
  | { kind: 'unchecked'; types: (CheckedType & { schema: string })[] };

/** Fulfils `EventPublisher` of src/api/events/ports.ts. */
export function createPublishStore(db: Queryable) {
  return {
    publish: async (batch: Batch): Promise<PublishOutcome> => {
      const { events } = batch;
      const values = valuesOf(batch);
      if (events.every(({ key }) => key === undefined)) {
        const rows = await db.run(EVENTS_PUBLISH, values);
        const createdAt = (rows[0] as PlainRow).created_at;
        return unchecked(rows) ?? { kind: 'published', events: events.map(({ id }) => ({ id, createdAt })) };
      }
      const eventIds = events.map(({ key }) => key?.eventId ?? null);
      const fingerprints = events.map(({ key }) => key?.fingerprint ?? null);
      const rows = await db.run(EVENTS_PUBLISH_KEYED, [...values, eventIds, fingerprints]).catch(refuse);
      return unchecked(rows) ?? { kind: 'published', events: rows.map(toPublished) };
    },
  };
}

function valuesOf({ tenantId, events, checked }: Batch): unknown[] {
  const column = <T>(pick: (event: NewPublication) => T): T[] => events.map(pick);
  return [
    decodeId('tenant', tenantId),
    column(({ id }) => decodeId('event', id)),
    column(({ type }) => type),
    column(({ subject }) => subject),
    column(({ data }) => data),
    column(({ channels }) => (channels.length === 0 ? '{}' : `{"${channels.join('","')}"}`)),
    checked.map(({ name }) => name),
    checked.map(({ version }) => version),
  ];
}

function unchecked(rows: readonly UncheckedRow[]): PublishOutcome | undefined {
  const types = rows.flatMap(({ name, version, schema }) =>
    name === null || version === null || schema === null ? [] : [{ name, version, schema }],
  );
  return types.length === 0 ? undefined : { kind: 'unchecked', types };
}

function toPublished({ id, created_at }: KeyedRow): { id: string; createdAt: Date } {
  return { id: encodeId('event', id as string), createdAt: created_at as Date };
}

const EVENT_ID_USED = 'MR409';

function refuse(error: unknown): never {
  const { code, detail } = error as { code?: unknown; detail?: string };
  if (code !== EVENT_ID_USED) throw error;
  const said = `The event_id ${JSON.stringify(detail)} was used with another event.`;
  throw new AppError('event_id_used', said, { cause: error });
}
