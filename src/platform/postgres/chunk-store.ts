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
  type HeldChunk,
  type Hold,
  type ItemRange,
  LOST_ATTEMPTS_MAX,
  type PendingItem,
} from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import { type Database, type Queryable, statement } from './statement';

/**
 * `for share` on the job's row: a job that turns to finalizing waits for this, so its fence over all chunks misses none.
 * Found held means that the attempt before was lost without a word.
 */
export const CHUNK_TAKE = statement<Hold>(
  'chunk.take',
  `insert into chunks as c (job_id, no, epoch, held)
   select j.id, $3, 1, true from jobs j where j.tenant_id = $1 and j.id = $2 and j.status = 'running' for share
   on conflict (job_id, no) do update set
     epoch = c.epoch + 1,
     held = not c.done,
     lost_attempts = c.lost_attempts + case when c.held then 1 else 0 end,
     marked_crashes = c.marked_crashes + case when c.held and c.marked_index is not null then 1 else 0 end,
     running = 0,
     touched_at = now()
   returning epoch, done, succeeded, failed, lost_attempts, marked_index, marked_crashes`,
);

export const CHUNK_JOB_STATUS = statement<{ status: JobStatus }>(
  'chunk.job_status',
  `select status from jobs where tenant_id = $1 and id = $2`,
);

/** Bounded by rows and by bytes, so that a page of large items does not fill the memory. The first item always comes. */
export const CHUNK_READ_PENDING = statement<PendingItem>(
  'chunk.read_pending',
  `select index, custom_id, input from (
     select i.index, i.custom_id, i.input::text as input,
       sum(octet_length(i.input::text)) over (order by i.index rows between unbounded preceding and 1 preceding) as before
     from items i
     where i.job_id = $1 and i.upload = $2 and i.index > $3 and i.index < $4
       and not exists (select from results r where r.job_id = $1 and r.index = i.index)
     order by i.index limit $5
   ) page where coalesce(before, 0) < $6 order by index`,
);

export const CHUNK_FENCE = statement<{ epoch: number }>(
  'chunk.fence',
  `update chunks set running = $4, touched_at = now() where job_id = $1 and no = $2 and epoch = $3 returning epoch`,
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
  `update chunks set marked_index = $4, marked_crashes = case when marked_index = $4 then marked_crashes else 0 end,
     running = 1, touched_at = now()
   where job_id = $1 and no = $2 and epoch = $3 returning epoch`,
);

export const CHUNK_HAND_BACK = statement<{ succeeded: number; failed: number }>(
  'chunk.hand_back',
  `update chunks set held = false, done = $4, running = 0, marked_index = null, marked_crashes = 0, touched_at = now()
   where job_id = $1 and no = $2 and epoch = $3 returning succeeded, failed`,
);

export interface ChunkStore {
  /** Takes the fence; where the job isn't running, tells its status instead. Undefined: no such job. */
  take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
  readPending(ref: ChunkRef, range: ItemRange): Promise<PendingItem[]>;
  /** Writes outcomes and counters in one transaction. @throws AppError `superseded`, or `output_not_storable` for their data */
  write(held: HeldChunk, outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  /** Notes that this item runs alone now. @throws AppError `superseded` */
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
    readPending(ref, { upload, after, end, limit, bytesMax }) {
      return db.run(CHUNK_READ_PENDING, [decodeId('job', ref.jobId), upload, after, end, limit, bytesMax]);
    },
    write: (held, outcomes, running) =>
      db.transaction((tx) => write(tx, { held, outcomes, running })).catch(rethrowDataError),
    async mark(held, index) {
      const [row] = await db.run(CHUNK_MARK, [decodeId('job', held.jobId), held.no, held.epoch, index]);
      if (row === undefined) throw superseded();
    },
    async handBack(held, done) {
      const [row] = await db.run(CHUNK_HAND_BACK, [decodeId('job', held.jobId), held.no, held.epoch, done]);
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
  const [fence] = await tx.run(CHUNK_FENCE, [jobUuid, held.no, held.epoch, running]);
  if (fence === undefined) throw superseded();
  if (outcomes.length === 0) return;
  await tx.run(CHUNK_WRITE, [jobUuid, held.no, toRecords(outcomes), LOST_ATTEMPTS_MAX]);
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
