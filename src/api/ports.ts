/** What the API's cross-cutting parts need of the house below; `compose.ts` hands in what fulfils it. */
import type { InlineItemStore, JobStore } from './batch/ports';
import type { BroadcastStore } from './broadcast/ports';
import type { EventPublisher } from './events/ports';
import type { KeyStore } from './key/ports';
import type { NotificationRuleStore, NotificationStore } from './notification/ports';
import type { PlanStore } from './plan/ports';
import type { SubscriptionStore, TenantStore } from './tenant/ports';
import type { TicketStore } from './ticket/ports';

/** One request, as metrics count it. */
export interface RequestSample {
  method: string;
  /** the pattern, so that ids don't become labels */
  route: string;
  status: number;
  seconds: number;
}

/** What the access log says of one request; what is undefined is left out. */
export interface RequestLine {
  request_id: string;
  tenant_id: string | undefined;
  key_id: string | undefined;
  method: string;
  path: string;
  route: string;
  status: number;
  ms: number;
  bytes: number;
  job_id: string | undefined;
  aborted: true | undefined;
  ip: string;
}

/** The part of pino that the API uses. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

export interface RequestLog {
  /** The line of one request; but for an error it may come 100 ms later. */
  request(level: 'debug' | 'info' | 'error', line: RequestLine): void;
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

/** Changes to what keys may do; every process follows them and drops what it remembers of the subject. */
export interface AccessChanges {
  /**
   * In the transaction of the change, before what it depends on is read: such transactions run one after the other.
   * @param subject `key_…`, `tnt_…`, `plan/…` or `tkt_…`
   */
  changed(subject: string): Promise<void>;
}

/** Stores bound to one transaction. */
export interface Stores {
  jobs: JobStore;
  items: InlineItemStore;
  keys: KeyStore;
  tenants: TenantStore;
  subscriptions: SubscriptionStore;
  plans: PlanStore;
  events: EventPublisher;
  broadcasts: Pick<BroadcastStore, 'insert'>;
  tickets: TicketStore;
  notifications: NotificationStore;
  notificationRules: NotificationRuleStore;
  idempotency: IdempotencyStore;
  access: AccessChanges;
}

/** Commits when `work` resolves, rolls back when it rejects. */
export type Transact = <T>(work: (stores: Stores) => Promise<T>) => Promise<T>;

/** Encrypts at rest; `context` must be the same again to decrypt. */
export interface SecretBox {
  seal(plain: Uint8Array, context: string): Uint8Array;
  open(sealed: Uint8Array, context: string): Uint8Array;
}
