/** What recognising a key needs of the house below. */
import type { Principal, Scope } from '../../domain/key/scopes';

/** A key as authentication sees it. */
export interface KnownKey extends Principal {
  keyName: string;
  prefix: string;
  /** By the clock of the database: to be shown, never to be compared with the clock of this process. */
  expiresAt: Date | null;
  revokedAt: Date | null;
  /** Of the very secret, where it was rotated out; otherwise as `expiresAt`. */
  secretEndsAt: Date | null;
  /** When the first of both comes, counted from the look-up; zero or less: it has. null: never as things stand. */
  endsInMs: number | null;
  /** Where it may be used from; none: anywhere. */
  allowedCidrs: readonly string[];
  /** When its tenant's subscription next changes, counted from the look-up; null: never as things stand. */
  planChangesInMs: number | null;
}

export interface KeyLookup {
  /**
   * By SHA-256 of the whole key, over all tenants: it is the key that says which tenant asks. undefined where no living tenant
   * has such a key.
   */
  findByHash(hash: Uint8Array): Promise<KnownKey | undefined>;
}

/** The log of changes to what keys may do. */
export interface AccessFeed {
  /** @returns the changes after `seq` in their order, and the number of the last one that there is */
  readAfter(seq: number): Promise<{ latest: number; changes: { seq: number; subject: string }[] }>;
}

/** How many requests from one address may come with a key that is not accepted. */
export interface FailureLimit {
  /** Seconds until more are taken; undefined: now. */
  blocked(address: string): Promise<number | undefined>;
  /**
   * Seconds until a key may be looked up for it; undefined: now, and the asker does so. Somebody who is blocked has a few
   * look-ups all the same, for the good keys at his address.
   */
  lookUpBlocked(address: string): Promise<number | undefined>;
  /** Counts one. */
  failed(address: string): Promise<void>;
}

/** By what a request was let in, beside who asks: what a stream's right to go on hangs on. */
export interface Credential {
  /** SHA-256 in hex: of the key, or of the one that the ticket was got with */
  keyHash: string;
  /** of the client */
  address: string;
  /** Where it came with one in place of a key. */
  ticket?: TicketGrant | undefined;
}

export interface TicketGrant {
  /** `tkt_…` */
  id: string;
  /** names of topics; null: all that the scopes show */
  topics: readonly string[] | null;
  /** until its stream must end, counted from when it was let in */
  endsInMs: number;
}

export interface Redeemed {
  kind: 'opened';
  id: string;
  /** SHA-256 in hex, of the key it was got with */
  keyHash: string;
  scopes: readonly Scope[];
  topics: readonly string[] | null;
  endsInMs: number;
}

/** Tickets as authentication sees them. */
export interface TicketDesk {
  /**
   * Uses the ticket up: of all who ever come with it, over all processes, one finds it open.
   * @param hash SHA-256 of the ticket. @returns undefined where there is no such ticket
   */
  redeem(
    hash: Uint8Array,
  ): Promise<Redeemed | { kind: 'spent'; why: 'used' | 'expired' | 'ended'; at: Date } | undefined>;
}
