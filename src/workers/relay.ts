/**
 * The loop that passes events from the outbox on to the realtime log. Each worker process runs one; the outbox lets one at a
 * time through. A crash between Redis and the commit sends a batch again, which the log recognises by the events' ids.
 *
 *   idle -> passing     a wake-up (after a commit) or the poll
 *   passing -> passing  the batch was full, or a wake-up came meanwhile
 *   passing -> idle     nothing is left, or another process is at it
 *   passing -> waiting  Redis or PostgreSQL is away: rows stay, back-off, one line in the log per outage
 */
import type { StoredEvent } from '../domain/realtime/event';
import { type Publication, publicationOf } from '../domain/realtime/publication';

export interface Outbox {
  /** See src/platform/postgres/outbox-store.ts. */
  passOn(limit: number, pass: (events: readonly StoredEvent[]) => Promise<void>): Promise<number | 'busy'>;
}

export interface RelayOptions {
  outbox: Outbox;
  publish(publications: readonly Publication[]): Promise<void>;
  /** Called after the commit, when events were passed on. */
  onPassed?(): void;
  log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  batchMax?: number;
  pollMs?: number;
}

export interface Relay {
  /** Look at once. */
  wake(): void;
  /** Resolves when the batch under way is done. */
  stop(): Promise<void>;
}

const BATCH_MAX = 256;
const POLL_MS = 500;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;

export function startRelay(options: RelayOptions): Relay {
  const batchMax = options.batchMax ?? BATCH_MAX;
  const pollMs = options.pollMs ?? POLL_MS;
  let stopped = false;
  let woken = false;
  let rest: { end(): void; deaf: boolean } | undefined;

  const pass = (events: readonly StoredEvent[]): Promise<void> => options.publish(events.map(publicationOf));

  const sleep = (ms: number, deaf: boolean): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      const end = (): void => {
        clearTimeout(timer);
        resolve();
      };
      rest = { end, deaf };
    });

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopped) {
      woken = false;
      try {
        const passed = await options.outbox.passOn(batchMax, pass);
        if (failures > 0) options.log.info({ failures }, 'The relay passes events on again');
        failures = 0;
        if (passed !== 'busy' && passed > 0) options.onPassed?.();
        if (passed !== batchMax && !woken && !stopped) await sleep(pollMs, false);
      } catch (err) {
        if (failures++ === 0)
          options.log.warn({ err }, 'The relay cannot pass events on; they wait in the outbox');
        // A wake-up must not cut this short, or writers would hammer what is away.
        if (!stopped) await sleep(Math.min(RETRY_MIN_MS * 2 ** (failures - 1), RETRY_MAX_MS), true);
      }
    }
  };

  const running = run();
  return {
    wake() {
      woken = true;
      if (rest?.deaf === false) rest.end();
    },
    async stop() {
      stopped = true;
      rest?.end();
      await running;
    },
  };
}
