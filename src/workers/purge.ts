/**
 * Removes what deleted jobs left behind, page by page. Nothing is remembered but in the rows themselves: whoever is stopped, or
 * killed, leaves the rest to the next one, here or in another worker.
 */
import { type Loop, startLoop } from './loop';

/** How far the removal of one job has come; `jobId` is all that is read of it here. */
interface Place {
  jobId: string;
}

export interface PurgeDeps<At extends Place> {
  remains: {
    /** See src/platform/postgres/remains-store.ts. */
    removeSome(from: At | undefined): Promise<{ removed: number; next: At | undefined } | undefined>;
  };
  log: { info(fields: object, message: string): void };
}

export interface PurgeOptions<At extends Place> extends PurgeDeps<At> {
  onError(error: unknown): void;
  /** between two looks while there is nothing to remove */
  idleMs?: number;
}

const IDLE_MS = 2_000;

export function startPurge<At extends Place>({ idleMs, onError, ...deps }: PurgeOptions<At>): Loop {
  const stopped = new AbortController();
  const loop = startLoop({
    intervalMs: idleMs ?? IDLE_MS,
    step: () => purge(deps, stopped.signal),
    onError,
  });
  return {
    stop: () => {
      stopped.abort();
      return loop.stop();
    },
  };
}

/** Until nothing is left, or `signal` says so. @returns rows removed */
export async function purge<At extends Place>(
  { remains, log }: PurgeDeps<At>,
  signal: AbortSignal,
): Promise<number> {
  let place: At | undefined;
  let rows = 0;
  while (!signal.aborted) {
    const some = await remains.removeSome(place);
    if (some === undefined) break;
    rows += some.removed;
    if (place !== undefined && some.next === undefined) {
      log.info({ job_id: place.jobId }, 'the items and results of a deleted job are removed');
    }
    place = some.next;
  }
  return rows;
}
