/** Events of an operator to all tenants. Fulfils `BroadcastStore` of src/api/broadcast/ports.ts. */
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import { eventIdFor } from './event-store';
import { type Database, type Queryable, type Transaction, statement } from './statement';

interface BroadcastRow {
  id: string;
  type: string;
  /** exact JSON text */
  data: string;
  /** that have it */
  tenants: number;
  created_at: Date;
  ended_at: Date | null;
}

const COLUMNS = 'id, type, data, tenants, created_at, ended_at';

export const BROADCAST_INSERT = statement<BroadcastRow>(
  'broadcast.insert',
  `insert into broadcasts (id, type, data) values ($1, $2, $3) returning ${COLUMNS}`,
);

export const BROADCAST_FIND = statement<BroadcastRow>(
  'broadcast.find',
  `select ${COLUMNS} from broadcasts where id = $1`,
);

/** Newest first. */
export const BROADCAST_LIST = statement<BroadcastRow>(
  'broadcast.list',
  `select ${COLUMNS} from broadcasts where $1::uuid is null or id < $1 order by id desc limit $2`,
);

interface OpenRow {
  id: string;
  type: string;
  bytes: number;
  /** the last tenant that has it */
  reached: string;
  /** as text, to the microsecond */
  created_at: string;
}

/** Locked; one that another worker is at is passed over. */
export const BROADCAST_OPEN = statement<OpenRow>(
  'broadcast.open',
  `select id, type, octet_length(data) as bytes, reached, created_at::text as created_at from broadcasts
   where ended_at is null order by id limit 1 for no key update skip locked`,
);

export const BROADCAST_TENANTS = statement<{ id: string }>(
  'broadcast.tenants',
  `select id from tenants where id > $1 and deleted_at is null and created_at <= $2::timestamptz order by id limit $3`,
);

/** $2, $3: event and tenant, side by side; $4: the broadcast as the events' subject; $5: whether these were the last. */
export const BROADCAST_SEND = statement(
  'broadcast.send',
  `with given as (
     select * from unnest($2::uuid[], $3::uuid[]) g (id, tenant_id)
   ), made as (
     insert into events (id, tenant_id, type, subject, data)
     select g.id, g.tenant_id, b.type, $4, b.data from given g cross join broadcasts b where b.id = $1
     on conflict (id) do nothing returning id, seq
   ), queued as (insert into outbox (event_id) select id from made order by seq)
   update broadcasts set tenants = tenants + cardinality($3::uuid[]), reached = coalesce(($3::uuid[])[cardinality($3::uuid[])], reached),
     ended_at = case when $5 then now() end
   where id = $1`,
);

export type BroadcastRecord = BroadcastRow;

/** @param db where the route is, its transaction */
export function createBroadcastStore(db: Queryable) {
  return {
    insert: async (wish: { id: string; type: string; data: string }): Promise<BroadcastRecord> => {
      const [row] = await db.run(BROADCAST_INSERT, [decodeId('broadcast', wish.id), wish.type, wish.data]);
      return toBroadcast(row as BroadcastRow);
    },

    find: async (broadcastId: string): Promise<BroadcastRecord | undefined> => {
      const uuid = tryDecodeId('broadcast', broadcastId);
      if (uuid === undefined) return undefined;
      const [row] = await db.run(BROADCAST_FIND, [uuid]);
      return row && toBroadcast(row);
    },

    list: async (page: { after?: string | undefined; limit: number }): Promise<BroadcastRecord[]> => {
      const after = page.after === undefined ? null : decodeId('broadcast', page.after);
      return (await db.run(BROADCAST_LIST, [after, page.limit])).map(toBroadcast);
    },
  };
}

function toBroadcast(row: BroadcastRow): BroadcastRecord {
  return { ...row, id: encodeId('broadcast', row.id) };
}

export interface SentPage {
  broadcastId: string;
  tenants: number;
  /** whether it was the last page */
  ended: boolean;
}

/** One transaction's worth: this many tenants, and not more than so many bytes. */
const TENANTS_MAX = 500;
const BYTES_MAX = 8 * 1024 * 1024;

/**
 * The worker's side. What a page has written and how far it has come stand or fall together, and ids are derived from broadcast
 * and tenant: whoever is killed leaves the rest to the next one, and nobody gets it twice.
 */
export function createBroadcastSender(database: Database) {
  return {
    /** @returns undefined: there is none to send */
    sendSome: (): Promise<SentPage | undefined> =>
      database.transaction(async (tx) => {
        const [open] = await tx.run(BROADCAST_OPEN);
        return open && sendPage(tx, open);
      }),
  };
}

async function sendPage(tx: Transaction, open: OpenRow): Promise<SentPage> {
  const limit = Math.min(TENANTS_MAX, Math.max(1, Math.floor(BYTES_MAX / open.bytes)));
  const tenants = (await tx.run(BROADCAST_TENANTS, [open.reached, open.created_at, limit])).map(
    ({ id }) => id,
  );
  const broadcastId = encodeId('broadcast', open.id);
  const events = tenants.map((tenant) => {
    const occurrence = encodeId('tenant', tenant);
    return decodeId('event', eventIdFor({ subject: broadcastId, type: open.type, occurrence }));
  });
  const ended = tenants.length < limit;
  await tx.run(BROADCAST_SEND, [open.id, events, tenants, broadcastId, ended]);
  return { broadcastId, tenants: tenants.length, ended };
}
