/**
 * Chunks: the fence over a range of items, and the only way results are written.
 * A worker can outlive its heartbeat timeout, so two attempts may run at once: each attempt takes a new epoch, and each
 * write begins by proving that the epoch is still its own.
 */
import type { ItemOutcome } from '../../domain/handler/contract';
import { decodeId } from '../../domain/ids';
import {
  type ChunkRef,
  CLEAN_ITEMS_MIN,
  type HeldChunk,
  type Hold,
  type ItemRange,
  LOST_ATTEMPTS_MAX,
  type PendingItem,
} from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import { insertOutcomes, superseded, writeOutcomes } from './chunk-write';
import { RETRY_NEXT } from './retry-statements';
import { type Database, statement } from './statement';

/**
 * `for share` on the job's row: a job that turns to finalizing waits for this, so its fence over all chunks misses none.
 * Found held means that the attempt before was lost without a word. A mark that is found belongs to that very attempt, since
 * each ends its own and this takes it away: whoever is lost while it only waits for its turn makes no item a suspect.
 */
export const CHUNK_TAKE = statement<Hold>(
  'chunk.take',
  `insert into chunks as c (job_id, no, epoch, held)
   select j.id, $3, 1, true from jobs j where j.tenant_id = $1 and j.id = $2 and j.status = 'running' for share
   on conflict (job_id, no) do update set
     epoch = c.epoch + 1,
     held = not c.done,
     lost_attempts = c.lost_attempts + case when c.held then 1 else 0 end,
     clean_items = case when c.held then 0 else c.clean_items end,
     suspect_index = coalesce(c.marked_index, c.suspect_index),
     suspect_crashes = case when c.marked_index is null then c.suspect_crashes
                            when c.marked_index = c.suspect_index then c.suspect_crashes + 1 else 1 end,
     marked_index = null,
     running = 0,
     touched_at = now()
   returning epoch, done, succeeded, failed, lost_attempts, clean_items, suspect_index, suspect_crashes`,
);

export const CHUNK_JOB_STATUS = statement<{ status: JobStatus }>(
  'chunk.job_status',
  `select status from jobs where tenant_id = $1 and id = $2`,
);

/**
 * Bounded by rows and by bytes, so that a page of large items does not fill the memory. The first item always comes.
 * Both look-ups are made one by one on purpose: as joins, tables without statistics would be compared each row with each.
 * `input` turns to text only in what is left of the page: until then a large one is a pointer that nobody has followed
 * (https://www.postgresql.org/docs/current/storage-toast.html).
 */
export const CHUNK_READ_PENDING = statement<PendingItem>(
  'chunk.read_pending',
  `select page.index, custom_id, input::text as input, coalesce(t.attempts, 0) as attempts from (
     select i.index, i.custom_id, i.input,
       sum(i.bytes) over (order by i.index rows between unbounded preceding and 1 preceding) as before
     from items i
     where i.job_id = $1 and i.upload = $2 and i.index > $3 and i.index < $4
       and (select r.index from results r where r.job_id = $1 and r.index = i.index limit 1) is null
       and (select t.index from retries t where t.job_id = $1 and t.index = i.index and t.due_at > $7 limit 1) is null
     order by i.index limit $5
   ) page left join retries t on t.job_id = $1 and t.index = page.index
   where coalesce(before, 0) < $6 order by page.index`,
);

/** As `chunk.read_pending` of a chunk that nobody has worked on: none of its items has a result or waits. */
export const CHUNK_READ_FRESH = statement<PendingItem>(
  'chunk.read_fresh',
  `select index, custom_id, input::text as input, 0 as attempts from (
     select i.index, i.custom_id, i.input,
       sum(i.bytes) over (order by i.index rows between unbounded preceding and 1 preceding) as before
     from items i
     where i.job_id = $1 and i.upload = $2 and i.index > $3 and i.index < $4
     order by i.index limit $5
   ) page where coalesce(before, 0) < $6 order by index`,
);

export const CHUNK_MARK = statement<{ epoch: number }>(
  'chunk.mark',
  `update chunks set marked_index = $4, running = 1, touched_at = now()
   where job_id = $1 and no = $2 and epoch = $3 returning epoch`,
);

/** The suspect was found: the rest runs side by side again, but under suspicion. */
export const CHUNK_SETTLE_SUSPECT = statement(
  'chunk.settle_suspect',
  `update chunks set suspect_index = null, suspect_crashes = 0, clean_items = 0, lost_attempts = $3
   where job_id = $1 and no = $2`,
);

/** A suspect stays one over a hand-back: the one that waits for its turn hands back too. */
export const CHUNK_HAND_BACK = statement<{ succeeded: number; failed: number }>(
  'chunk.hand_back',
  `update chunks set held = false, done = $4, running = 0, marked_index = null, touched_at = now(),
     lost_attempts = case when clean_items >= $5 then 0 else lost_attempts end
   where job_id = $1 and no = $2 and epoch = $3 returning succeeded, failed`,
);

export interface ChunkStore {
  /** Takes the fence; where the job isn't running, tells its status instead. Undefined: no such job. */
  take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
  readPending(ref: ChunkRef, range: ItemRange): Promise<PendingItem[]>;
  /** When the first item of the range that waits for another attempt is due; null: none waits. */
  nextDue(ref: ChunkRef, range: { start: number; end: number }): Promise<Date | null>;
  /** Writes outcomes and counters in one transaction. @throws AppError `superseded`, or `output_not_storable` for their data */
  write(held: HeldChunk, outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  /** Writes the suspect's outcome and trusts the rest again. @throws AppError `superseded` */
  giveUpSuspect(held: HeldChunk, outcome: ItemOutcome): Promise<void>;
  /** Notes that this item has the process to itself now, until outcomes are written. @throws AppError `superseded` */
  mark(held: HeldChunk, index: number): Promise<void>;
  /** Ends the attempt. @throws AppError `superseded` */
  handBack(held: HeldChunk, done: boolean): Promise<{ succeeded: number; failed: number }>;
}

export function createChunkStore(db: Database): ChunkStore {
  return {
    async take(ref) {
      const [tenant, job] = [decodeId('tenant', ref.tenantId), decodeId('job', ref.jobId)];
      const [hold] = await db.run(CHUNK_TAKE, [tenant, job, ref.no]);
      if (hold !== undefined) return hold;
      return (await db.run(CHUNK_JOB_STATUS, [tenant, job]))[0];
    },
    readPending({ jobId }, { upload, after, end, limit, bytesMax, due, fresh }) {
      const range = [decodeId('job', jobId), upload, after, end, limit, bytesMax];
      if (fresh === true) return db.run(CHUNK_READ_FRESH, range);
      return db.run(CHUNK_READ_PENDING, [...range, due]);
    },
    async nextDue({ jobId }, { start, end }) {
      return (await db.run(RETRY_NEXT, [decodeId('job', jobId), start, end]))[0]?.due_at ?? null;
    },
    write: (held, outcomes, running) => writeOutcomes(db, { held, outcomes, running }),
    giveUpSuspect: (held, outcome) =>
      db.transaction(async (tx) => {
        await insertOutcomes(tx, { held, outcomes: [outcome], running: 0 });
        await tx.run(CHUNK_SETTLE_SUSPECT, [decodeId('job', held.jobId), held.no, LOST_ATTEMPTS_MAX - 1]);
      }),
    async mark(held, index) {
      const [row] = await db.run(CHUNK_MARK, [decodeId('job', held.jobId), held.no, held.epoch, index]);
      if (row === undefined) throw superseded();
    },
    async handBack(held, done) {
      const parameters = [decodeId('job', held.jobId), held.no, held.epoch, done, CLEAN_ITEMS_MIN];
      const [row] = await db.run(CHUNK_HAND_BACK, parameters);
      if (row === undefined) throw superseded();
      return row;
    },
  };
}
