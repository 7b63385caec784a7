/** What the routes of events need of the house below. */
import type { SchemaFault } from '../../domain/events/schema-fault';

/** An event that a tenant publishes. */
export interface NewPublication {
  /** `evt_…` */
  id: string;
  type: string;
  /** empty: none */
  subject: string;
  /** exact JSON text */
  data: string;
  channels: readonly string[];
  /** of one with an `event_id`: that, and SHA-256 over the content */
  key?: { eventId: string; fingerprint: Uint8Array } | undefined;
}

/** A type whose schema must fit, as it was when it was looked at. */
export interface StrictType {
  name: string;
  version: string;
  /** exact JSON text */
  schema: string;
}

export type PublishOutcome =
  /** in the order given; of one that was published before, the first */
  | { kind: 'published'; events: readonly { id: string; createdAt: Date }[] }
  /** Nothing was written: these are strict, and are not among those checked. */
  | { kind: 'unchecked'; types: readonly StrictType[] };

export interface EventPublisher {
  /**
   * All of them or none. No two have one `event_id`.
   * @throws AppError `event_id_used`
   */
  publish(batch: {
    tenantId: string;
    events: readonly NewPublication[];
    /** strict types that the events of theirs were found to fit */
    checked: readonly Pick<StrictType, 'name' | 'version'>[];
  }): Promise<PublishOutcome>;
}

/** Holds values against tenants' schemas, away from the event loop. */
export interface SchemaChecker {
  /** @throws AppError `invalid_schema`, `dependency_unavailable` */
  check(call: { tenantId: string; schema: string }): Promise<void>;
  /** @throws AppError `dependency_unavailable` */
  faultsOf(call: {
    tenantId: string;
    schema: string;
    values: readonly string[];
  }): Promise<(readonly SchemaFault[])[]>;
}

export interface EventRecord {
  id: string;
  tenant_id: string;
  type: string;
  /** empty: none */
  subject: string;
  /** exact JSON text */
  data: string;
  event_id: string | null;
  channels: readonly string[];
  created_at: Date;
}

export interface EventReads {
  find(tenantId: string, eventId: string): Promise<EventRecord | undefined>;
  /** Newest first; fewer than `limit` where they are large. @param page `after`: `position` of the last event of the page before, two whole numbers with a dot between */
  list(page: {
    tenantId: string;
    types?: { exact: readonly string[]; prefixes: readonly string[] } | undefined;
    subject?: string | undefined;
    since?: Date | undefined;
    until?: Date | undefined;
    after?: string | undefined;
    limit: number;
  }): Promise<{ events: (EventRecord & { position: string })[]; more: boolean }>;
}

/** One that a tenant has described. */
export interface EventType {
  name: string;
  description: string;
  /** exact JSON text; null: none */
  schema: string | null;
  strict: boolean;
  created_at: Date;
  updated_at: Date;
}

export interface EventTypeStore {
  find(tenantId: string, name: string): Promise<EventType | undefined>;
  /** By name, in the order of its characters' codes. */
  list(page: { tenantId: string; after?: string | undefined; limit: number }): Promise<EventType[]>;
  /** @throws AppError `too_many_event_types` */
  put(wish: {
    tenantId: string;
    name: string;
    description: string;
    schema: string | null;
    strict: boolean;
  }): Promise<{ type: EventType; made: boolean }>;
  /** @returns false where there is none */
  remove(tenantId: string, name: string): Promise<boolean>;
}
