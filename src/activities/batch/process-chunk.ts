/**
 * One attempt at a chunk: take the fence, run what has no result yet, write as it goes, hand back and say why.
 *
 *   take -> get a turn in this process -> run until done or stopped -> flush -> hand back
 *
 * It stops early for the time box, a pause, a cancel, a shutdown, a suspect that needs the process to itself, or a newer
 * attempt that holds the fence.
 */
import { type HeldChunk, type Hold, LOST_ATTEMPTS_MAX } from '../../domain/batch/run';
import { AppError, isAppError } from '../../domain/errors';
import type { ChunkArgument, ChunkReturn } from '../../workflows/batch/ports';
import { wait } from '../handlers/attempt';
import { toRetryableFailure } from '../to-failure';
import { type Attempt, back, type ChunkDeps, follow, openAttempt, reasonFor } from './attempt';
import { runChunk } from './run-chunk';
import { giveUpSuspect, unmark } from './suspect';

const NOTHING_DONE: ChunkReturn = { reason: 'time_box', succeeded: 0, failed: 0 };
const RETRY_DELAY_MS = 5_000;
/** As far apart as two chunks of a lost worker come again: heartbeats are told to Temporal every 2 s. */
const GIVE_WAY_MS = 2_000;

export function createProcessChunk(deps: ChunkDeps): (argument: ChunkArgument) => Promise<ChunkReturn> {
  return async (argument) => {
    try {
      return await takeAndRun(deps, argument);
    } catch (error) {
      const delaySeconds = isAppError(error) ? error.retryAfterSeconds : undefined;
      throw toRetryableFailure(error, delaySeconds === undefined ? RETRY_DELAY_MS : delaySeconds * 1_000);
    }
  };
}

async function takeAndRun(deps: ChunkDeps, argument: ChunkArgument): Promise<ChunkReturn> {
  if (argument.first === true) {
    const begun = await deps.runs.begin(argument);
    // Not ours to run: it is handed out again, to whoever serves the handler.
    if (begun !== undefined && deps.handlers.get(begun.handler)?.remote === true) return NOTHING_DONE;
  }
  const hold = await deps.chunks.take(argument);
  if (hold === undefined || 'status' in hold) {
    return { reason: reasonFor(hold?.status), succeeded: 0, failed: 0 };
  }
  if (hold.done) return { reason: 'done', succeeded: hold.succeeded, failed: hold.failed };
  const held: HeldChunk = { ...argument, epoch: hold.epoch };
  try {
    const attempt = await open(deps, { argument, held, hold });
    const unfollow = follow(attempt);
    try {
      return await runInTurn(attempt);
    } finally {
      unfollow();
    }
  } catch (error) {
    // An attempt that says that it ends is not a lost one; where even this fails, it will look like one.
    await deps.chunks.handBack(held, false).catch(() => undefined);
    throw error;
  }
}

interface Taken {
  argument: ChunkArgument;
  held: HeldChunk;
  hold: Hold;
}

/** @throws AppError `unknown_handler` */
async function open(deps: ChunkDeps, { argument, held, hold }: Taken): Promise<Attempt> {
  const job = await deps.runs.find(argument);
  const handler = job === undefined ? undefined : deps.handlers.get(job.handler);
  if (job === undefined || handler === undefined) {
    const name = JSON.stringify(job?.handler ?? null);
    throw new AppError('unknown_handler', `This worker has no handler ${name}.`);
  }
  const gaveUp = await giveUpSuspect({ deps, held, hold });
  const isolated = !gaveUp && hold.lost_attempts >= LOST_ATTEMPTS_MAX;
  return openAttempt({ deps, held, hold, job, handler, isolated }, argument);
}

/** Beside other attempts, or, where the chunk is under suspicion, with nothing else at work in this process. */
async function runInTurn(attempt: Attempt): Promise<ChunkReturn> {
  const { deps, hold, stop, isolated } = attempt;
  // Whoever was at work at a crash comes again at about the same time. The suspects go first: else the one that ends the
  // process could be there before them again and again.
  if (!isolated && hold.lost_attempts > 0) await wait(GIVE_WAY_MS, stop.signal);
  const endTurn = isolated
    ? await deps.isolation.alone(stop.signal)
    : deps.isolation.share(() => stop.soft('time_box'));
  if (endTurn === undefined) {
    if (stop.reason !== undefined) return back(attempt, false);
    throw new AppError('not_its_turn', 'The chunk waits for its turn in this worker.', {
      retryAfterSeconds: 1,
    });
  }
  try {
    return await runChunk(attempt);
  } catch (error) {
    if (isolated) await unmark(attempt);
    throw error;
  } finally {
    endTurn();
  }
}
