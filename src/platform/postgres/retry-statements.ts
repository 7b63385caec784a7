/** Items that wait for another attempt. Due times are the workflow's clock, passed in: no `now()` decides what is due. */
import { statement } from './statement';

export const RETRY_DEFER = statement(
  'retry.defer',
  `insert into retries (job_id, index, attempts, due_at)
   select $1, r.index, r.attempts, r.due_at
   from unnest($2::int[], $3::smallint[], $4::timestamptz[]) as r (index, attempts, due_at)
   on conflict (job_id, index) do update set attempts = excluded.attempts, due_at = excluded.due_at`,
);

export const RETRY_CLEAR = statement(
  'retry.clear',
  `delete from retries where job_id = $1 and index = any($2::int[])`,
);

export const RETRY_CLEAR_JOB = statement('retry.clear_job', `delete from retries where job_id = $1`);

/** When the first of the range $2 <= index < $3 is due; null: none waits. An item that has its result waits for nothing. */
export const RETRY_NEXT = statement<{ due_at: Date | null }>(
  'retry.next',
  `select min(due_at) as due_at from retries t where job_id = $1 and index >= $2 and index < $3
     and (select r.index from results r where r.job_id = $1 and r.index = t.index limit 1) is null`,
);
