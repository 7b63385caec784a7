/** Takes a chunk back from whoever it was lent to, and says by the rows how far it is: a worker's word is a hint at most. */
import { type ChunkRest, loanStop } from '../../domain/batch/loan';
import { chunkRange } from '../../domain/batch/partition';
import type { ChunkRef, HeldChunk, RunJob } from '../../domain/batch/run';
import { isAppError } from '../../domain/errors';
import type { BatchLoanActivities, ChunkReturn, LoanEnd } from '../../workflows/batch/ports';
import type { LoanDeps } from './ports';

/** Until a chunk goes out again of which nothing was done: a worker that only fails must not make work for everybody. */
const FRUITLESS_PAUSE_MS = 5_000;
const THROTTLED_MAX_MS = 60_000;
const NOTHING = { succeeded: 0, failed: 0 };

type ReclaimArgument = Parameters<BatchLoanActivities['batchReclaimChunk']>[0];

/** @param nowMs the workflow's clock */
export async function reclaimChunk(
  deps: LoanDeps,
  argument: ReclaimArgument,
  nowMs: number,
): Promise<ChunkReturn> {
  const { tenantId, jobId, no, lane, end } = argument;
  const ref: ChunkRef = { tenantId, jobId, no };
  if (end?.epoch !== undefined) await ended(deps, { ...ref, epoch: end.epoch });
  const hold = await deps.chunks.take(ref);
  const job = await deps.runs.find(ref);
  if (hold === undefined || 'status' in hold) {
    return { reason: loanStop(job, lane) ?? 'time_box', ...NOTHING };
  }
  const held: HeldChunk = { ...ref, epoch: hold.epoch };
  if (job === undefined || hold.done) {
    return { reason: 'done', succeeded: hold.succeeded, failed: hold.failed };
  }
  const range = { upload: job.upload, ...chunkRange(no, job.chunkItems, job.total) };
  const rest = await deps.loans.rest(ref, range, new Date(nowMs));
  const isDone = !rest.open && rest.due_at === null;
  const tally = await deps.chunks.handBack(held, isDone);
  const fruitless = tally.succeeded + tally.failed === argument.had;
  return { ...tally, ...whyBack({ rest, job, lane, nowMs, end, fruitless }) };
}

/** An attempt that said that it ended was not lost. One that was superseded has nothing to end. */
async function ended({ chunks }: LoanDeps, held: HeldChunk): Promise<void> {
  try {
    await chunks.handBack(held, false);
  } catch (error) {
    if (!isAppError(error) || error.code !== 'superseded') throw error;
  }
}

interface Reclaimed {
  rest: ChunkRest;
  job: RunJob;
  lane: number;
  nowMs: number;
  end: LoanEnd | null;
  fruitless: boolean;
}

function whyBack(reclaimed: Reclaimed): Pick<ChunkReturn, 'reason' | 'dueInMs'> {
  const { rest, job, lane, nowMs, end, fruitless } = reclaimed;
  if (!rest.open && rest.due_at === null) return { reason: 'done' };
  const stop = loanStop(job, lane);
  if (stop !== null) return { reason: stop };
  if (!rest.open && rest.due_at !== null) {
    return { reason: 'deferred', dueInMs: Math.max(0, Math.ceil(rest.due_at.getTime() - nowMs)) };
  }
  if (end?.stop === 'throttled' && end.waitMs !== undefined) {
    return { reason: 'throttled', dueInMs: Math.min(THROTTLED_MAX_MS, end.waitMs) };
  }
  if (fruitless) return { reason: 'deferred', dueInMs: FRUITLESS_PAUSE_MS };
  return { reason: end?.stop === 'shutdown' ? 'shutdown' : 'time_box' };
}
