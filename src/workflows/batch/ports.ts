/** The activities of a batch, as the workflow calls them. Arguments and answers are ids and counts. */
import type { JobRef } from '../../domain/batch/job';
import type { Finished } from '../../domain/batch/run';
import type { DesiredState, JobStatus, Outcome } from '../../domain/batch/status';

/** What a run needs to know to drive the job; `status` tells how far an earlier run came. */
export interface BatchPlan {
  status: JobStatus;
  desired: DesiredState;
  handler: string;
  total: number;
  chunkItems: number;
  windowChunks: number;
  /** the first chunk that is not done; earlier ones are */
  firstOpenChunk: number;
  /** items of the chunks before that one */
  succeeded: number;
  failed: number;
  /** longest that one item may take, with all its attempts */
  itemMaxMs: number;
}

export interface ChunkArgument extends JobRef {
  no: number;
  /** the workflow's clock when it handed the chunk out; decides which waiting items are due */
  nowMs: number;
}

/**
 * Why a chunk's activity came back:
 * done: every item has its result · time_box, shutdown: hand out the rest again ·
 * deferred: what is left waits for another attempt, the first for `dueInMs` ·
 * paused, cancelled: the desired state says so · ended: the job is past running
 */
export type ChunkReason = 'done' | 'deferred' | 'time_box' | 'shutdown' | 'paused' | 'cancelled' | 'ended';

export interface ChunkReturn {
  reason: ChunkReason;
  /** of the whole chunk, over all its attempts */
  succeeded: number;
  failed: number;
  /** deferred only */
  dueInMs?: number;
}

/** On the `control` queue. */
export interface BatchControlActivities {
  /** queued -> running; idempotent. Null: there is no such job (any more). */
  batchBegin(ref: JobRef): Promise<BatchPlan | null>;
  /** As `batchBegin` where that is still to be done; the desired state, and a note in the row that it was seen; `ended`: the job is past running, or gone. */
  batchReadDesired(ref: JobRef): Promise<DesiredState | 'ended'>;
  /** Fences every chunk off, aggregates and writes the final state; idempotent. */
  batchFinish(argument: JobRef & { outcome: Outcome }): Promise<Finished>;
}

/** On the `batch` queue. */
export interface BatchChunkActivities {
  batchProcessChunk(argument: ChunkArgument): Promise<ChunkReturn>;
}
