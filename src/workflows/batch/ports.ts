/** The activities of a batch, as the workflow calls them. Arguments and answers are ids and counts. */
import type { JobRef } from '../../domain/batch/job';
import type { Finished } from '../../domain/batch/run';
import type { JobStatus, Outcome } from '../../domain/batch/status';
import type { WantedState } from '../../domain/batch/wanted';
import type { REMOTE_ACTIVITY } from '../../domain/handler/remote';

/** What the job's row asks of its workflow right now. */
export interface Wanted {
  state: WantedState;
  /** chunks that may run at once */
  lanes: number;
  /** until the job's time is up; null: it has no limit */
  expiresInMs: number | null;
}

/** What a run needs to know to drive the job; `status` tells how far an earlier run came. */
export interface BatchPlan {
  status: JobStatus;
  wanted: Wanted;
  handler: string;
  /** served by another process, on a task queue of its own */
  remote: boolean;
  total: number;
  chunkItems: number;
  /** the first chunk that is not done; earlier ones are */
  firstOpenChunk: number;
  /** of the `DONE_MAP_MAX` chunks after that one, those that are done (see `encodeDone`) */
  doneAfter: string;
  /** items of all those that are done */
  succeeded: number;
  failed: number;
  /** longest that one item may take, with all its attempts */
  itemMaxMs: number;
}

export interface ChunkArgument extends JobRef {
  no: number;
  /** its place among the chunks that run at once, from 0: decides its share of the job's limits */
  lane: number;
  /** lanes that chunks were in when it was handed out: some of them may be gone since, but their items run on */
  lanes: number;
  /** the workflow's clock when it handed the chunk out; decides which waiting items are due */
  nowMs: number;
  /** handed out together with `batchBegin`, for a quick first result: begins the job itself where that is to be done */
  first?: true;
}

/**
 * Why a chunk's activity came back:
 * done: every item has its result · time_box, shutdown: hand out the rest again ·
 * deferred: what is left waits for another attempt, the first for `dueInMs` ·
 * throttled: the next item may begin in `dueInMs` · narrowed: its lane is gone ·
 * paused, cancelled, exceeded: the row says so · ended: the job is past running
 */
export type ChunkReason =
  | 'done'
  | 'deferred'
  | 'throttled'
  | 'time_box'
  | 'shutdown'
  | 'narrowed'
  | 'paused'
  | 'cancelled'
  | 'exceeded'
  | 'ended';

export interface ChunkReturn {
  reason: ChunkReason;
  /** of the whole chunk, over all its attempts */
  succeeded: number;
  failed: number;
  /** deferred and throttled only */
  dueInMs?: number;
}

/** On the `control` queue. */
export interface BatchControlActivities {
  /** queued -> running where the tenant's plan has a seat; idempotent. Null: there is no such job (any more). */
  batchBegin(ref: JobRef): Promise<BatchPlan | null>;
  /** As `batchBegin` where that is still to be done; what the row asks for, and a note in it that this was seen. */
  batchReadDesired(ref: JobRef): Promise<Wanted>;
  /** The job's time is up: it is to end as `expired`, unless it has come to another end. */
  batchExpire(ref: JobRef): Promise<Wanted>;
  /** Fences every chunk off, aggregates and writes the final state; idempotent. */
  batchFinish(argument: JobRef & { outcome: Outcome }): Promise<Finished>;
}

/** What a worker in another language is given, in the names that it reads: docs/remote-handlers.md. */
export interface Loan {
  contract: number;
  tenant_id: string;
  job_id: string;
  chunk: number;
  handler: string;
  claim_url: string;
  items_url: string;
  results_url: string;
  /** grants this chunk for a while; short-lived and narrow, since it stands in the history */
  token: string;
  /** RFC 3339 */
  expires_at: string;
  time_box_seconds: number;
  time_box_max_seconds: number;
}

export interface Lent {
  loan: Loan;
  /** of one attempt at the loan */
  startToCloseMs: number;
  /** of all of them, the wait for a worker included */
  scheduleToCloseMs: number;
  /** results that the chunk had */
  had: number;
}

/** What a worker says of the end of its turn, as far as it is heeded. */
export interface LoanEnd {
  epoch?: number;
  stop?: string;
  waitMs?: number;
}

/** On the `control` queue: around the turn of a worker in another language. */
export interface BatchLoanActivities {
  /** @returns why there is nothing to lend */
  batchLendChunk(argument: ChunkArgument): Promise<Lent | ChunkReturn>;
  /** Fences the worker off and says how far the chunk is. `end` null: the worker failed, or there was none. */
  batchReclaimChunk(argument: ChunkArgument & { had: number; end: LoanEnd | null }): Promise<ChunkReturn>;
}

/** On the task queue of a handler. */
export interface RemoteWorkerActivities {
  [REMOTE_ACTIVITY](loan: Loan): Promise<unknown>;
}

/** On the `batch` queue. */
export interface BatchChunkActivities {
  batchProcessChunk(argument: ChunkArgument): Promise<ChunkReturn>;
}
