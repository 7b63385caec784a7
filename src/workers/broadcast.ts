/**
 * Sends what operators tell all tenants, page by page. Nothing is remembered but in the broadcast's row: whoever is stopped, or
 * killed, leaves the rest to the next one, here or in another worker.
 */
import { type Loop, startLoop } from './loop';

export interface BroadcastDeps {
  sender: {
    /** See src/platform/postgres/broadcast-store.ts. */
    sendSome(): Promise<{ broadcastId: string; tenants: number; ended: boolean } | undefined>;
  };
  /** After each page: whoever passes events on looks at once. */
  wake(): void;
  log: { info(fields: object, message: string): void };
}

export interface BroadcastOptions extends BroadcastDeps {
  onError(error: unknown): void;
  /** between two looks while there is none to send */
  idleMs?: number;
}

const IDLE_MS = 1_000;

export function startBroadcasts({ idleMs, onError, ...deps }: BroadcastOptions): Loop {
  const step = (signal: AbortSignal): Promise<unknown> => sendBroadcasts(deps, signal);
  return startLoop({ intervalMs: idleMs ?? IDLE_MS, step, onError });
}

/** Until none is left, or `signal` says so. */
export async function sendBroadcasts(
  { sender, wake, log }: BroadcastDeps,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const page = await sender.sendSome();
    if (page === undefined) return;
    wake();
    if (page.ended) log.info({ broadcast_id: page.broadcastId }, 'a broadcast has reached all tenants');
  }
}
