/**
 * Chunks: the fence over a range of items, and the only way results are written.
 * A worker can outlive its heartbeat timeout, so two attempts may run at once: each attempt takes a new epoch, and each
 * write begins by proving that the epoch is still its own.
 */
import { AppError } from '../../domain/errors';
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
import { RETRY_CLEAR, RETRY_DEFER, RETRY_NEXT } from './retry-statements';
import { type Database, type Queryable, statement } from './statement';

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
       and not exists (select from results r where r.job_id = $1 and r.index = i.index)
       and not exists (select from retries t where t.job_id = $1 and t.index = i.index and t.due_at > $7)
     order by i.index limit $5
   ) page left join retries t on t.job_id = $1 and t.index = page.index
   where coalesce(before, 0) < $6 order by page.index`,
);

/** With $5 items that have ended: where one had the process to itself it was among them, and its mark goes. */
export const CHUNK_FENCE = statement<{ epoch: number }>(
  'chunk.fence',
  `update chunks set running = $4, clean_items = clean_items + $5,
     marked_index = case when $5 > 0 then null else marked_index end, touched_at = now()
   where job_id = $1 and no = $2 and epoch = $3 returning epoch`,
);

/** Counters move by the rows really inserted, never by a batch's length. A written result clears the lost attempts. */
export const CHUNK_WRITE = statement<{ succeeded: number; failed: number }>(
  'chunk.write',
  `with written as (
     insert into results (job_id, index, status, output, error, attempts, duration_ms)
     select $1, r.index, r.status, r.output, r.error, r.attempts, r.duration_ms
     from json_to_recordset($3::json)
       as r(index int, status text, output json, error json, attempts smallint, duration_ms int)
     on conflict (job_id, index) do nothing returning status
   ), n as (
     select count(*) filter (where status = 'succeeded')::int as succeeded,
            count(*) filter (where status = 'failed')::int as failed from written
   )
   update chunks c set succeeded = c.succeeded + n.succeeded, failed = c.failed + n.failed,
     lost_attempts = case when c.lost_attempts >= $4 or n.succeeded + n.failed = 0 then c.lost_attempts else 0 end
   from n where c.job_id = $1 and c.no = $2 returning c.succeeded, c.failed`,
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
    readPending({ jobId }, { upload, after, end, limit, bytesMax, due }) {
      return db.run(CHUNK_READ_PENDING, [decodeId('job', jobId), upload, after, end, limit, bytesMax, due]);
    },
    async nextDue({ jobId }, { start, end }) {
      return (await db.run(RETRY_NEXT, [decodeId('job', jobId), start, end]))[0]?.due_at ?? null;
    },
    write: (held, outcomes, running) =>
      db.transaction((tx) => write(tx, { held, outcomes, running })).catch(rethrowDataError),
    giveUpSuspect: (held, outcome) =>
      db.transaction(async (tx) => {
        await write(tx, { held, outcomes: [outcome], running: 0 });
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

function superseded(): AppError {
  return new AppError('superseded', 'A newer attempt holds this chunk.');
}

/** Classes 22 (data), 54 (limits) and a failed check: the rows themselves, not the database, are at fault. */
const DATA_ERROR = /^(22|54|23514)/;

function rethrowDataError(error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!DATA_ERROR.test(code)) throw error;
  throw new AppError('output_not_storable', 'The output holds what the database cannot store.', {
    cause: error,
  });
}

interface Write {
  held: HeldChunk;
  outcomes: readonly ItemOutcome[];
  running: number;
}

async function write(tx: Queryable, { held, outcomes, running }: Write): Promise<void> {
  const jobUuid = decodeId('job', held.jobId);
  const [fence] = await tx.run(CHUNK_FENCE, [jobUuid, held.no, held.epoch, running, outcomes.length]);
  if (fence === undefined) throw superseded();
  const ended = outcomes.filter((o) => o.status !== 'deferred');
  if (ended.length > 0) await tx.run(CHUNK_WRITE, [jobUuid, held.no, toRecords(ended), LOST_ATTEMPTS_MAX]);
  const retried = ended.filter((o) => o.attempts > 1).map((o) => o.index);
  if (retried.length > 0) await tx.run(RETRY_CLEAR, [jobUuid, retried]);
  const deferred = outcomes.filter((o) => o.status === 'deferred');
  if (deferred.length > 0) {
    const column = <T>(pick: (o: ItemOutcome) => T): T[] => deferred.map(pick);
    await tx.run(RETRY_DEFER, [
      jobUuid,
      column((o) => o.index),
      column((o) => o.attempts),
      column((o) => o.dueAt),
    ]);
  }
}

/** One JSON array as text: outputs are JSON text already, so nothing is parsed or escaped twice. */
function toRecords(outcomes: readonly ItemOutcome[]): string {
  const records = outcomes.map(
    (o) =>
      `{"index":${o.index},"status":"${o.status}","output":${o.output ?? 'null'},` +
      `"error":${o.error === null ? 'null' : JSON.stringify(o.error)},` +
      `"attempts":${o.attempts},"duration_ms":${Math.max(0, Math.round(o.durationMs))}}`,
  );
  return `[${records.join(',')}]`;
}
