/** Lends a chunk to whichever worker of its handler comes first: what it needs to know, and the token that lets it. */
import { loanStop } from '../../domain/batch/loan';
import { CHUNK_BOX_MAX_MS, type ChunkRef, type RunJob } from '../../domain/batch/run';
import { AppError } from '../../domain/errors';
import { chunkPath, isRemote, REMOTE_CONTRACT } from '../../domain/handler/remote';
import type { ChunkArgument, ChunkReturn, Lent } from '../../workflows/batch/ports';
import type { LoanDeps } from './ports';

/** For claims, writes and a worker that is slow to end. */
const MARGIN_MS = 60_000;
/** A loan waits for a worker for so long, then it is made anew: its token must not be good for ever. */
const QUEUE_MS = 15 * 60_000;

const NOTHING = { succeeded: 0, failed: 0 };

/** @param nowMs the workflow's clock */
export async function lendChunk(
  deps: LoanDeps,
  argument: ChunkArgument,
  nowMs: number,
): Promise<Lent | ChunkReturn> {
  const { tenantId, jobId, no, lane } = argument;
  const ref: ChunkRef = { tenantId, jobId, no };
  const hold = await deps.chunks.take(ref);
  const job = await deps.runs.find(ref);
  if (hold === undefined || 'status' in hold) {
    return { reason: loanStop(job, lane) ?? 'time_box', ...NOTHING };
  }
  if (hold.done) return { reason: 'done', succeeded: hold.succeeded, failed: hold.failed };
  // Nobody has it before a worker claims it.
  const tally = await deps.chunks.handBack({ ...ref, epoch: hold.epoch }, false);
  const stop = loanStop(job, lane);
  if (job === undefined || stop !== null) return { reason: stop ?? 'ended', ...tally };
  if (!isRemote(deps.handlers.get(job.handler))) {
    throw new AppError('unknown_handler', `This worker knows no remote handler ${job.handler}.`);
  }
  return { ...toLent(deps, { argument, job, nowMs }), had: tally.succeeded + tally.failed };
}

interface Lending {
  argument: ChunkArgument;
  job: RunJob;
  nowMs: number;
}

function toLent(deps: LoanDeps, { argument, job, nowMs }: Lending): Omit<Lent, 'had'> {
  const { tenantId, jobId, no, lane, lanes } = argument;
  const startToCloseMs = CHUNK_BOX_MAX_MS + job.options.item_timeout_ms + MARGIN_MS;
  const scheduleToCloseMs = startToCloseMs + QUEUE_MS;
  const now = deps.now().getTime();
  const expiresAt = new Date(now + scheduleToCloseMs + MARGIN_MS);
  const url = deps.publicUrl + chunkPath(jobId, no);
  return {
    startToCloseMs,
    scheduleToCloseMs,
    loan: {
      contract: REMOTE_CONTRACT,
      tenant_id: tenantId,
      job_id: jobId,
      chunk: no,
      handler: job.handler,
      claim_url: `${url}/claim`,
      items_url: `${url}/items`,
      results_url: `${url}/results`,
      token: deps.tokens.sign({ tenantId, jobId, no, lane, lanes, clockAheadMs: nowMs - now, expiresAt }),
      expires_at: expiresAt.toISOString(),
      time_box_seconds: deps.timeBoxMs / 1_000,
      time_box_max_seconds: CHUNK_BOX_MAX_MS / 1_000,
    },
  };
}
