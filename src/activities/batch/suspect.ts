/** A chunk under suspicion: the item that ended the process is given up, and no mark outlives its turn. */
import { isAppError } from '../../domain/errors';
import { CRASHES_MAX, type HeldChunk, type Hold } from '../../domain/batch/run';
import type { ActivityLog, ChunkStore } from './ports';

export interface Suspected {
  deps: {
    chunks: Pick<ChunkStore, 'giveUpSuspect' | 'handBack'>;
    log: ActivityLog;
    shutdown: AbortSignal;
  };
  held: HeldChunk;
  hold: Hold;
}

/** Longest that a turn is kept while the database can't be told of its end. */
const UNMARK_TRIES = 60;
const UNMARK_AGAIN_MS = 1_000;

/** @returns whether the item that ended the process was found, and failed with it */
export async function giveUpSuspect({ deps, held, hold }: Suspected): Promise<boolean> {
  const { suspect_index: index, suspect_crashes: crashes } = hold;
  if (index === null || crashes < CRASHES_MAX) return false;
  deps.log.error({ job_id: held.jobId, index, crashes }, 'an item ended the process and is given up');
  const message = `The process ended ${crashes} times while this item ran alone.`;
  const error = { code: 'handler_crashed', message };
  const outcome = { index, status: 'failed', output: null, error, attempts: crashes, durationMs: 0 } as const;
  await deps.chunks.giveUpSuspect(held, outcome);
  return true;
}

/**
 * For an attempt that failed in its turn. A mark that outlived the turn would lay the next crash, which may be anybody's, to
 * an innocent item: the turn is not over until the chunk is handed back, also where the database is away for a while.
 */
export async function unmark({ deps, held }: Suspected): Promise<void> {
  for (let tries = 0; tries < UNMARK_TRIES; tries++) {
    try {
      await deps.chunks.handBack(held, false);
      return;
    } catch (error) {
      if (deps.shutdown.aborted || (isAppError(error) && error.code === 'superseded')) return;
      await new Promise((resolve) => setTimeout(resolve, UNMARK_AGAIN_MS));
    }
  }
}
