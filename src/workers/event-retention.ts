/**
 * Removes events that are past the retention of their tenant's plan, those of deleted tenants, and what is remembered of
 * publishers' own ids. Several workers share it, batch by batch; nothing is remembered but in the rows themselves.
 */
import { type Loop, startLoop } from './loop';

export interface EventRetentionDeps {
  /** See src/platform/postgres/event-retention-store.ts. */
  store: {
    removeOld(from?: string): Promise<{ removed: number; next: string | undefined }>;
    pruneKeys(limit: number): Promise<number>;
  };
  log: { info(fields: object, message: string): void };
}

export interface EventRetentionOptions extends EventRetentionDeps {
  onError(error: unknown): void;
  intervalMs?: number;
}

const INTERVAL_MS = 60_000;
const KEYS_MAX = 5_000;

export function startEventRetention({ intervalMs, onError, ...deps }: EventRetentionOptions): Loop {
  const step = (signal: AbortSignal): Promise<unknown> => removeOldEvents(deps, signal);
  return startLoop({ intervalMs: intervalMs ?? INTERVAL_MS, step, onError });
}

/** One round over all tenants. @returns how many events went */
export async function removeOldEvents(
  { store, log }: EventRetentionDeps,
  signal: AbortSignal,
): Promise<number> {
  let events = 0;
  let from: string | undefined;
  do {
    const { removed, next } = await store.removeOld(from);
    events += removed;
    from = next;
  } while (from !== undefined && !signal.aborted);
  let keys = 0;
  for (let n = KEYS_MAX; n === KEYS_MAX && !signal.aborted; keys += n) n = await store.pruneKeys(KEYS_MAX);
  if (events + keys > 0) log.info({ events, event_keys: keys }, 'events past their retention are removed');
  return events;
}
