/** Events of tenants and operators: the API's wiring, and what a worker does for them. */
import type { EventRouteDeps } from '../api/events/routes';
import { newId } from '../platform/clock';
import type { ApiConfig, ServerConfig } from '../platform/config';
import { createBroadcastSender } from '../platform/postgres/broadcast-store';
import { createEventReads } from '../platform/postgres/event-reads';
import { createEventRetentionStore } from '../platform/postgres/event-retention-store';
import { createEventTypeStore } from '../platform/postgres/event-type-store';
import { createOutboxWake } from '../platform/postgres/outbox-store';
import { createPublishStore } from '../platform/postgres/publish-store';
import { createSchemaSandbox } from '../platform/sandbox/schema-sandbox';
import { startBroadcasts } from '../workers/broadcast';
import { startEventRetention } from '../workers/event-retention';
import type { Common, Setting } from './parts';

/** Schemas at once; its process is started when the first strict type, or the first schema, comes. */
const SCHEMA_HOSTS = 1;
const SCHEMA_MEMORY_MB = 128;
/** Somebody waits for the answer to a publication. */
const SCHEMA_TIMEOUT_MS = 1_000;

export function eventDeps(
  { log, lifecycle }: Setting<ApiConfig>,
  { database }: Pick<Common, 'database'>,
): EventRouteDeps {
  const schemas = createSchemaSandbox({
    threads: SCHEMA_HOSTS,
    memoryMb: SCHEMA_MEMORY_MB,
    expressionTimeoutMs: SCHEMA_TIMEOUT_MS,
    log,
  });
  lifecycle.onClose('schema sandbox', () => schemas.close());
  return {
    publisher: createPublishStore(database),
    schemas,
    newEventId: () => newId('event'),
    wake: createOutboxWake(database),
    log: createEventReads(database),
    types: createEventTypeStore(database),
  };
}

export function openEvents(
  { log, lifecycle }: Setting<ServerConfig>,
  { database }: Pick<Common, 'database'>,
): void {
  const onError = (err: unknown): void =>
    log.warn({ err }, 'housekeeping of events failed and is tried again');
  const broadcasts = startBroadcasts({
    sender: createBroadcastSender(database),
    wake: createOutboxWake(database),
    log,
    onError,
  });
  lifecycle.onClose('broadcasts', () => broadcasts.stop());
  const retention = startEventRetention({ store: createEventRetentionStore(database), log, onError });
  lifecycle.onClose('event retention', () => retention.stop());
}
