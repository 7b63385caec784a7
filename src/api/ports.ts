/** What the API's cross-cutting parts need of the house below; `compose.ts` hands in what fulfils it. */
import type { Principal, Scope } from '../domain/key/scopes';
import type { InlineItemStore, JobStore } from './batch/ports';

/** One request, as metrics count it. */
export interface RequestSample {
  method: string;
  /** the pattern, so that ids don't become labels */
  route: string;
  status: number;
  seconds: number;
}

/** The part of pino that the API uses. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

export interface Tenant {
  id: string;
  name: string;
  plan: string;
  created_at: Date;
}

export interface TenantStore {
  insert(tenant: { id: string; name: string; plan: string }): Promise<Tenant>;
  /** undefined where there is none */
  find(tenantId: string): Promise<Tenant | undefined>;
}

export interface NewApiKey {
  id: string;
  tenantId: string;
  name: string;
  /** shown to recognise the key by */
  prefix: string;
  /** SHA-256 of the whole key */
  hash: Uint8Array;
  scopes: readonly Scope[];
  expiresAt: Date | null;
}

export interface ApiKey {
  id: string;
  tenant_id: string;
  name: string;
  prefix: string;
  scopes: Scope[];
  expires_at: Date | null;
  revoked_at: Date | null;
  created_at: Date;
}

export interface KeyStore {
  insert(key: NewApiKey): Promise<ApiKey>;
  find(ref: { tenantId: string; keyId: string }): Promise<ApiKey | undefined>;
  /** Over all tenants: only for a principal with `admin`. */
  findAnywhere(keyId: string): Promise<ApiKey | undefined>;
}

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
}

export interface KeyLookup {
  /** By SHA-256 of the whole key, over all tenants: it is the key that says which tenant asks. */
  findByHash(hash: Uint8Array): Promise<KnownKey | undefined>;
}

/** A claimed Idempotency-Key; `token` fences it: a claim that was taken over can store nothing. */
export interface IdempotencyClaim {
  tenantId: string;
  key: string;
  token: string;
}

export interface StoredAnswer {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array | null;
}

export type ClaimOutcome =
  | { kind: 'claimed'; claim: IdempotencyClaim }
  | { kind: 'answered'; fingerprint: Uint8Array; answer: StoredAnswer }
  | { kind: 'running'; fingerprint: Uint8Array };

export interface IdempotencyStore {
  claim(request: {
    tenantId: string;
    key: string;
    route: string;
    fingerprint: Uint8Array;
  }): Promise<ClaimOutcome>;
  /** False where the claim was taken over: the caller must roll back. */
  complete(claim: IdempotencyClaim, answer: StoredAnswer): Promise<boolean>;
  /** Gives an unanswered claim back, so that the key can be used at once. */
  release(claim: IdempotencyClaim): Promise<void>;
}

/** Stores bound to one transaction. */
export interface Stores {
  jobs: JobStore;
  items: InlineItemStore;
  keys: KeyStore;
  tenants: TenantStore;
  idempotency: IdempotencyStore;
}

/** Commits when `work` resolves, rolls back when it rejects. */
export type Transact = <T>(work: (stores: Stores) => Promise<T>) => Promise<T>;

/** Encrypts at rest; `context` must be the same again to decrypt. */
export interface SecretBox {
  seal(plain: Uint8Array, context: string): Uint8Array;
  open(sealed: Uint8Array, context: string): Uint8Array;
}
