/**
 * The pace of jobs with a `max_rps`, held over all workers: the generic cell rate algorithm (ITU-T I.371) with one row per
 * job. Whoever wants to begin items reserves the next of them; the database's clock is the one that all workers share.
 */
import type { JobRef } from '../../domain/batch/job';
import type { Reservation } from '../../domain/batch/pace';
import { decodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

/** Longest that a reservation may lie ahead: who would have to wait longer asks again, so that a stop wastes little. */
const AHEAD_MS = 1_000;
/** of a reservation; `blockItems` keeps to it */
const BLOCK_MS = 250;

/**
 * $2 items, $3 ms between two. A row from the time of a slower pace is no debt: it is cut to what today's pace can have left.
 * No row: it would lie too far ahead.
 */
export const RATE_RESERVE = statement<{ wait_ms: number }>(
  'rate.reserve',
  `insert into job_rates as r (job_id, next_at)
   values ($1, clock_timestamp() + $2::float8 * $3::float8 * interval '1 ms')
   on conflict (job_id) do update set
     next_at = greatest(clock_timestamp(), least(r.next_at, clock_timestamp()
       + (${AHEAD_MS} + greatest($3::float8, ${BLOCK_MS})) * interval '1 ms')) + $2::float8 * $3::float8 * interval '1 ms'
   where r.next_at <= clock_timestamp() + ${AHEAD_MS} * interval '1 ms'
     or r.next_at > clock_timestamp() + (${AHEAD_MS} + greatest($3::float8, ${BLOCK_MS})) * interval '1 ms'
   returning extract(epoch from next_at - clock_timestamp())::float8 * 1000 - $2::float8 * $3::float8 as wait_ms`,
);

export const RATE_WAIT = statement<{ wait_ms: number }>(
  'rate.wait',
  `select extract(epoch from next_at - clock_timestamp())::float8 * 1000 as wait_ms from job_rates where job_id = $1`,
);

export interface RateStore {
  /** Reserves the beginning of `items` items, `intervalMs` apart, if that may be within a second. */
  reserve(ref: JobRef, items: number, intervalMs: number): Promise<Reservation>;
}

export function createRateStore(db: Queryable): RateStore {
  return {
    async reserve({ jobId }, items, intervalMs) {
      const uuid = decodeId('job', jobId);
      const [reserved] = await db.run(RATE_RESERVE, [uuid, items, intervalMs]);
      if (reserved !== undefined) return { items, waitMs: Math.max(0, reserved.wait_ms) };
      const [row] = await db.run(RATE_WAIT, [uuid]);
      return { items: 0, waitMs: Math.max(0, row?.wait_ms ?? 0) };
    },
  };
}
