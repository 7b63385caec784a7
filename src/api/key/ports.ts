/** What the key routes need of the house below. */
import type { KeyBounds } from '../../domain/key/key-bounds';
import type { KeyStatus } from '../../domain/key/key-status';
import type { Scope } from '../../domain/key/scopes';

export interface ApiKey extends KeyBounds {
  id: string;
  tenant_id: string;
  name: string;
  /** shown to recognise the key by */
  prefix: string;
  scopes: Scope[];
  /** at the beginning of the transaction */
  status: KeyStatus;
  revoked_at: Date | null;
  rotated_at: Date | null;
  /** to the minute */
  last_used_at: Date | null;
  created_at: Date;
}

export interface KeyRef {
  tenantId: string;
  keyId: string;
}

/** A secret that was just made: what is kept of it. */
export interface NewSecret {
  prefix: string;
  /** SHA-256 of the whole key */
  hash: Uint8Array;
}

export interface NewApiKey extends NewSecret {
  id: string;
  tenantId: string;
  name: string;
  scopes: readonly Scope[];
  bounds: KeyBounds;
}

/** What may change of a key, all of it. */
export interface KeyContent extends KeyBounds {
  name: string;
  scopes: readonly Scope[];
}

export interface KeyPage {
  tenantId: string;
  /** id of the last key of the page before */
  after?: string | undefined;
  status?: KeyStatus | undefined;
  limit: number;
}

/** Other keys that could let people in again: with `admin`, neither expired nor revoked, of a tenant that lives. */
export interface OtherAdmins {
  /** whether there is one at all */
  any: boolean;
  /** whether there is one without an end */
  lasting: boolean;
}

export interface KeyStore {
  insert(key: NewApiKey): Promise<ApiKey>;
  find(ref: KeyRef): Promise<ApiKey | undefined>;
  /** As `find`; in a transaction, what it answers holds to its end. */
  hold(ref: KeyRef): Promise<ApiKey | undefined>;
  /** Over all tenants: only for a principal with `admin`. */
  findAnywhere(keyId: string): Promise<ApiKey | undefined>;
  /** Newest first. */
  list(page: KeyPage): Promise<ApiKey[]>;
  update(ref: KeyRef, content: KeyContent): Promise<ApiKey>;
  /** Its secrets so far end after the overlap, if they don't end before. */
  rotate(ref: KeyRef, secret: NewSecret & { overlapSeconds: number }): Promise<ApiKey>;
  revoke(ref: KeyRef): Promise<void>;
  otherAdmins(keyId: string): Promise<OtherAdmins>;
}
