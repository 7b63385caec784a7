/** Tickets for streams; of each only the SHA-256 is kept. Fulfils `TicketStore` and `TicketDesk` of the API. */
import { decodeId, encodeId, tryDecodeId } from '../../domain/ids';
import type { Scope } from '../../domain/key/scopes';
import { type Queryable, statement } from './statement';

interface TicketTimes {
  expires_at: Date;
  stream_ends_at: Date;
}

export const TICKET_INSERT = statement<TicketTimes>(
  'ticket.insert',
  `insert into stream_tickets (id, hash, tenant_id, key_id, key_hash, scopes, topics, expires_at, stream_ends_at)
   values ($1, $2, $3, $4, $5, $6, $7, now() + $8::float8 * interval '1 second', now() + $9::float8 * interval '1 second')
   returning expires_at, stream_ends_at`,
);

interface OpenedRow {
  id: string;
  key_hash: Buffer;
  scopes: Scope[];
  topics: string[] | null;
  ends_in_ms: number;
}

/** Of two that come at once with the same ticket, the second finds it used. */
export const TICKET_REDEEM = statement<OpenedRow>(
  'ticket.redeem',
  `update stream_tickets set used_at = now()
   where hash = $1 and used_at is null and ended_at is null and expires_at > now()
   returning id, key_hash, scopes, topics, (extract(epoch from stream_ends_at - now()) * 1000)::float8 as ends_in_ms`,
);

interface SpentRow {
  used_at: Date | null;
  ended_at: Date | null;
  expires_at: Date;
}

export const TICKET_WHY_NOT = statement<SpentRow>(
  'ticket.why_not',
  'select used_at, ended_at, expires_at from stream_tickets where hash = $1',
);

export const TICKET_FIND = statement<{ key_id: string; is_over: boolean }>(
  'ticket.find',
  `select key_id, ended_at is not null or stream_ends_at <= now() or (used_at is null and expires_at <= now()) as is_over
   from stream_tickets where tenant_id = $1 and id = $2`,
);

export const TICKET_END = statement(
  'ticket.end',
  'update stream_tickets set ended_at = now() where tenant_id = $1 and id = $2 and ended_at is null',
);

/** Over all tenants: a process asks for the streams it has open. */
export const TICKETS_ENDED = statement<{ id: string }>(
  'ticket.ended',
  'select id from stream_tickets where id = any ($1::uuid[]) and ended_at is not null',
);

/** Until then whoever comes with an old one is told what became of it. */
export const TICKETS_PRUNE = statement<{ id: string }>(
  'ticket.prune',
  `delete from stream_tickets where id = any (array(
     select id from stream_tickets where stream_ends_at < now() - interval '1 day' order by stream_ends_at limit $1
   )) returning id`,
);

interface NewTicket {
  id: string;
  hash: Uint8Array;
  tenantId: string;
  keyId: string;
  keyHash: Uint8Array;
  scopes: readonly Scope[];
  topics: readonly string[] | null;
  expiresInSeconds: number;
  streamSeconds: number;
}

export interface TicketRef {
  tenantId: string;
  ticketId: string;
}

export function createTicketStore(db: Queryable) {
  return {
    insert: async (ticket: NewTicket): Promise<{ expiresAt: Date; streamEndsAt: Date }> => {
      const { hash, keyHash, scopes, topics, expiresInSeconds, streamSeconds } = ticket;
      const [id, tenantId] = [decodeId('ticket', ticket.id), decodeId('tenant', ticket.tenantId)];
      const who = [id, hash, tenantId, decodeId('key', ticket.keyId), keyHash];
      const [row] = await db.run(TICKET_INSERT, [...who, scopes, topics, expiresInSeconds, streamSeconds]);
      if (row === undefined) throw new Error('the ticket was not written');
      return { expiresAt: row.expires_at, streamEndsAt: row.stream_ends_at };
    },

    find: async (ref: TicketRef): Promise<{ keyId: string; isOver: boolean } | undefined> => {
      const [row] = await db.run(TICKET_FIND, idsOf(ref));
      return row && { keyId: encodeId('key', row.key_id), isOver: row.is_over };
    },

    end: async (ref: TicketRef): Promise<void> => void (await db.run(TICKET_END, idsOf(ref))),

    redeem: async (hash: Uint8Array) => {
      const [row] = await db.run(TICKET_REDEEM, [hash]);
      if (row !== undefined) return { kind: 'opened' as const, ...toOpened(row) };
      const [spent] = await db.run(TICKET_WHY_NOT, [hash]);
      return spent && { kind: 'spent' as const, ...whyNot(spent) };
    },

    ended: async (ticketIds: readonly string[]): Promise<string[]> => {
      const uuids = ticketIds.map((id) => decodeId('ticket', id));
      return (await db.run(TICKETS_ENDED, [uuids])).map(({ id }) => encodeId('ticket', id));
    },

    /** Drops those that were over long ago. @returns how many; fewer than `limit` means none is left */
    prune: async (limit: number): Promise<number> => (await db.run(TICKETS_PRUNE, [limit])).length,
  };
}

function idsOf({ tenantId, ticketId }: TicketRef): [string, string | null] {
  return [decodeId('tenant', tenantId), tryDecodeId('ticket', ticketId) ?? null];
}

function toOpened(row: OpenedRow) {
  return {
    id: encodeId('ticket', row.id),
    keyHash: row.key_hash.toString('hex'),
    scopes: row.scopes,
    topics: row.topics,
    endsInMs: row.ends_in_ms,
  };
}

function whyNot({ used_at, ended_at, expires_at }: SpentRow) {
  if (ended_at !== null) return { why: 'ended' as const, at: ended_at };
  if (used_at !== null) return { why: 'used' as const, at: used_at };
  return { why: 'expired' as const, at: expires_at };
}
