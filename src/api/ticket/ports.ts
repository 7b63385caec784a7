/** What the routes of tickets need of the house below. */
import type { Scope } from '../../domain/key/scopes';

export interface NewTicket {
  id: string;
  /** SHA-256 of the ticket */
  hash: Uint8Array;
  tenantId: string;
  keyId: string;
  /** SHA-256 of the key that asks: the stream lasts no longer than that secret */
  keyHash: Uint8Array;
  scopes: readonly Scope[];
  /** null: all that the scopes show */
  topics: readonly string[] | null;
  expiresInSeconds: number;
  streamSeconds: number;
}

export interface TicketRef {
  tenantId: string;
  ticketId: string;
}

export interface TicketStore {
  insert(ticket: NewTicket): Promise<{ expiresAt: Date; streamEndsAt: Date }>;
  /** `isOver`: it opens nothing, and has nothing open, any more */
  find(ref: TicketRef): Promise<{ keyId: string; isOver: boolean } | undefined>;
  end(ref: TicketRef): Promise<void>;
}

export interface TicketMint {
  mintTicket(): { ticket: string; hash: Uint8Array };
}
