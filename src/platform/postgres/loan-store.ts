/** Chunks that are lent to other processes, as far as they need more than every chunk does (chunk-store.ts). */
import type { AttemptsMade, ChunkRest, LoanedChunk } from '../../domain/batch/loan';
import type { ChunkRef } from '../../domain/batch/run';
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export const LOAN_CHUNK = statement<LoanedChunk>(
  'loan.chunk',
  `select c.epoch, c.running, c.lost_attempts, c.clean_items from jobs j join chunks c on c.job_id = j.id and c.no = $3
   where j.tenant_id = $1 and j.id = $2`,
);

/** Of items that were attempted before, or have ended; the others are left out. */
export const LOAN_ATTEMPTS = statement<AttemptsMade>(
  'loan.attempts',
  `select i.index, coalesce(t.attempts, 0)::int as attempts, r.index is not null as ended
   from unnest($2::int[]) as i (index)
     left join retries t on t.job_id = $1 and t.index = i.index
     left join results r on r.job_id = $1 and r.index = i.index
   where t.index is not null or r.index is not null`,
);

/** $2 the upload, $3 <= index < $4; $5 is now. An item with a result waits for nothing, whatever was said of it later. */
export const LOAN_REST = statement<ChunkRest>(
  'loan.rest',
  `select exists (
     select from items i where i.job_id = $1 and i.upload = $2 and i.index >= $3 and i.index < $4
       and not exists (select from results r where r.job_id = $1 and r.index = i.index)
       and not exists (select from retries t where t.job_id = $1 and t.index = i.index and t.due_at > $5)
   ) as open, (
     select min(t.due_at) from retries t where t.job_id = $1 and t.index >= $3 and t.index < $4 and t.due_at > $5
       and not exists (select from results r where r.job_id = $1 and r.index = t.index)
   ) as due_at`,
);

export interface LoanStore {
  /** Undefined: no such chunk, or nobody has taken it yet. */
  find(ref: ChunkRef): Promise<LoanedChunk | undefined>;
  attempts(ref: ChunkRef, indexes: readonly number[]): Promise<AttemptsMade[]>;
  rest(ref: ChunkRef, range: { upload: number; start: number; end: number }, now: Date): Promise<ChunkRest>;
}

export function createLoanStore(db: Queryable): LoanStore {
  return {
    async find({ tenantId, jobId, no }) {
      return (await db.run(LOAN_CHUNK, [decodeId('tenant', tenantId), decodeId('job', jobId), no]))[0];
    },
    attempts: ({ jobId }, indexes) => db.run(LOAN_ATTEMPTS, [decodeId('job', jobId), indexes]),
    async rest({ jobId }, { upload, start, end }, now) {
      const [rest] = await db.run(LOAN_REST, [decodeId('job', jobId), upload, start, end, now]);
      return rest ?? { open: false, due_at: null };
    },
  };
}
