/** What recognising a key needs of the house below. */
import type { Principal } from '../../domain/key/scopes';

/** A key as authentication sees it. */
export interface KnownKey extends Principal {
  keyName: string;
  prefix: string;
  expiresAt: Date | null;
  revokedAt: Date | null;
  /** Of the very secret, where it was rotated out. */
  secretEndsAt: Date | null;
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
  /** Counts one. */
  failed(address: string): Promise<void>;
}
