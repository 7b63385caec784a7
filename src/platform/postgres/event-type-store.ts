/** A tenant's own event types. Fulfils `EventTypeStore` of src/api/events/ports.ts. */
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

interface EventTypeRow {
  name: string;
  description: string;
  /** exact JSON text */
  schema: string | null;
  strict: boolean;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = 'name, description, schema, strict, created_at, updated_at';

export const EVENT_TYPE_FIND = statement<EventTypeRow>(
  'event_type.find',
  `select ${COLUMNS} from event_types where tenant_id = $1 and name = $2`,
);

/** By name. */
export const EVENT_TYPE_LIST = statement<EventTypeRow>(
  'event_type.list',
  `select ${COLUMNS} from event_types where tenant_id = $1 and ($2::text is null or name > $2) order by name limit $3`,
);

/** No row: it would be one, or with its schema some bytes, too many. Two that are new and come at once may both be let in. */
export const EVENT_TYPE_PUT = statement<EventTypeRow & { made: boolean }>(
  'event_type.put',
  `insert into event_types as t (tenant_id, name, description, schema, strict)
   select $1, $2, $3, $4, $5
   where (
     select count(*) < $6 and coalesce(sum(octet_length(schema)), 0) + coalesce(octet_length($4), 0) <= $7
     from event_types where tenant_id = $1 and name <> $2
   )
   on conflict (tenant_id, name) do update set description = excluded.description, schema = excluded.schema,
     strict = excluded.strict, version = excluded.version, updated_at = now()
   returning ${COLUMNS}, xmax = 0 as made`,
);

export const EVENT_TYPE_DELETE = statement<{ name: string }>(
  'event_type.delete',
  'delete from event_types where tenant_id = $1 and name = $2 returning name',
);

export type EventTypeRecord = EventTypeRow;

export interface NewEventType {
  tenantId: string;
  name: string;
  description: string;
  schema: string | null;
  strict: boolean;
}

/** Each may be asked for with every publication, and all of them in one page. */
const TYPES_MAX = 1_000;
const SCHEMAS_BYTES_MAX = 4 * 1024 * 1024;

export function createEventTypeStore(db: Queryable) {
  return {
    find: async (tenantId: string, name: string): Promise<EventTypeRecord | undefined> => {
      const [row] = await db.run(EVENT_TYPE_FIND, [decodeId('tenant', tenantId), name]);
      return row;
    },

    list: (page: {
      tenantId: string;
      after?: string | undefined;
      limit: number;
    }): Promise<EventTypeRecord[]> =>
      db.run(EVENT_TYPE_LIST, [decodeId('tenant', page.tenantId), page.after ?? null, page.limit]),

    put: async (wish: NewEventType): Promise<{ type: EventTypeRecord; made: boolean }> => {
      const { tenantId, name, description, schema, strict } = wish;
      const values = [
        decodeId('tenant', tenantId),
        name,
        description,
        schema,
        strict,
        TYPES_MAX,
        SCHEMAS_BYTES_MAX,
      ];
      const [row] = await db.run(EVENT_TYPE_PUT, values);
      if (row === undefined) {
        const detail = `A tenant has at most ${TYPES_MAX} event types, with schemas of ${SCHEMAS_BYTES_MAX} bytes together.`;
        throw new AppError('too_many_event_types', detail);
      }
      const { made, ...type } = row;
      return { type, made };
    },

    /** @returns false where there is none */
    remove: async (tenantId: string, name: string): Promise<boolean> =>
      (await db.run(EVENT_TYPE_DELETE, [decodeId('tenant', tenantId), name])).length === 1,
  };
}
