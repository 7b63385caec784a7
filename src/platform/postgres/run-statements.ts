/** Statements of a job as the engine runs it. */
import type { JobOptions, Json } from '../../domain/batch/job';
import type { Reduce } from '../../domain/batch/reduce';
import type { DesiredState, JobStatus, Outcome } from '../../domain/batch/status';
import { END_PAUSE, type JobRow } from './job-row';
import { QUOTA_GIVE_BACK } from './quota-store';
import { statement } from './statement';

export interface RunRow {
  status: JobStatus;
  desired: DesiredState;
  outcome: Outcome | null;
  handler: string;
  params: Json;
  options: JobOptions;
  reduce: Reduce | null;
  upload: number;
  total: number;
  chunk_items: number | null;
  parent_job_id: string | null;
  expires_at: Date | null;
  running_jobs: number | null;
  concurrency_per_job: number | null;
}

const RUN_COLUMNS = `j.status, j.desired, j.outcome, j.handler, j.params, j.options, j.reduce, j.upload, j.total, j.chunk_items,
  j.parent_job_id, j.expires_at, p.running_jobs, p.concurrency_per_job`;

export const RUN_FIND = statement<RunRow>(
  'run.find',
  `select ${RUN_COLUMNS} from jobs j cross join lateral plan_of(j.tenant_id, now()) p
   where j.tenant_id = $1 and j.id = $2`,
);

/** As `run.find`; what the workflow acts upon now. */
export const RUN_LOOK = statement<RunRow>(
  'run.look',
  `update jobs j set seen_version = desired_version from plan_of($1, now()) p
   where j.tenant_id = $1 and j.id = $2 returning ${RUN_COLUMNS}`,
);

/** Jobs of one tenant begin one after the other, so that none takes a seat that another is just taking. */
export const RUN_LOCK_TENANT = statement(
  'run.lock_tenant',
  `select id from tenants where id = $1 for no key update`,
);

/** Seats taken by running jobs and by those that are before this one in line; counted up to the plan's $3. */
export const RUN_SEATS_TAKEN = statement<{ taken: number }>(
  'run.seats_taken',
  `select (
     (select count(*) from jobs r where r.tenant_id = $1 and r.status = 'running')
     + (select count(*) from (
         select from jobs q
         where q.tenant_id = $1 and q.status = 'queued' and q.desired = 'running'
           and ((q.options ->> 'priority')::smallint, q.id) < ((j.options ->> 'priority')::smallint, j.id)
         limit $3
       ) ahead)
   )::int as taken from jobs j where j.tenant_id = $1 and j.id = $2`,
);

export const RUN_NEXT_WAITING = statement<{ id: string }>(
  'run.next_waiting',
  `select id from jobs where tenant_id = $1 and status = 'queued' and desired = 'running'
   order by (options ->> 'priority')::smallint, id limit 1`,
);

export const RUN_BEGIN = statement<{ desired_version: number }>(
  'run.begin',
  `update jobs j set status = 'running', started_at = coalesce(started_at, now())
   where tenant_id = $1 and id = $2 and status = 'queued' and desired = 'running' returning desired_version`,
);

/** The first of $2 chunks that is not done, which of the $3 after it are done, and what all those that are came to. */
export const RUN_DONE_CHUNKS = statement<{
  first_open: number;
  done_after: number[];
  succeeded: number;
  failed: number;
}>(
  'run.done_chunks',
  `with open as (
     select coalesce(min(n.no), $2::int) as no from generate_series(0, $2::int - 1) n(no)
     left join chunks c on c.job_id = $1 and c.no = n.no where c.done is not true
   )
   select open.no as first_open,
     coalesce(array_agg(c.no - open.no - 1 order by c.no) filter (where c.no > open.no), '{}') as done_after,
     coalesce(sum(c.succeeded), 0)::int as succeeded, coalesce(sum(c.failed), 0)::int as failed
   from open left join chunks c on c.job_id = $1 and c.done and c.no <= open.no + $3::int group by open.no`,
);

export type WatchRow = Pick<
  RunRow,
  'status' | 'desired' | 'outcome' | 'options' | 'total' | 'concurrency_per_job'
> & {
  id: string;
};

/** One query for all the jobs that run in a process, once a second. */
export const RUN_WATCH = statement<WatchRow>(
  'run.watch',
  `select j.id, j.status, j.desired, j.outcome, j.options, j.total, p.concurrency_per_job
   from jobs j cross join lateral plan_of(j.tenant_id, now()) p where j.id = any($1)`,
);

/** By the clock of the workflow whose timer has gone off. */
export const RUN_EXPIRE = statement(
  'run.expire',
  `update jobs set status = 'cancelling', outcome = coalesce(outcome, 'expired'), desired_version = desired_version + 1,
     ${END_PAUSE}
   where tenant_id = $1 and id = $2 and status in ('queued', 'running', 'paused')`,
);

export const RUN_EXCEED = statement<{ outcome: Outcome }>(
  'run.exceed',
  `update jobs set outcome = coalesce(outcome, 'tolerance_exceeded')
   where tenant_id = $1 and id = $2 and status in ('running', 'paused')
     and (select sum(failed) from chunks where job_id = $2) > $3
   returning outcome`,
);

/** Who asked for the end gets it, also where the last item was quicker; what was decided before stands. */
export const RUN_FINALIZE = statement(
  'run.finalize',
  `update jobs set status = 'finalizing', seen_version = desired_version,
     outcome = coalesce(outcome, case when status = 'cancelling' then 'cancelled' else $3 end),
     ${END_PAUSE}
   where tenant_id = $1 and id = $2 and status = any($4)`,
);

/** No attempt that began before this can write any more. */
export const RUN_FENCE_ALL = statement(
  'run.fence_all',
  `update chunks set epoch = epoch + 1, held = false, running = 0 where job_id = $1`,
);

export const RUN_OUTCOME = statement<{ status: JobStatus; outcome: Outcome | null }>(
  'run.outcome',
  `select status, outcome from jobs where tenant_id = $1 and id = $2`,
);

export const RUN_COUNT_RESULTS = statement<{ succeeded: number; failed: number }>(
  'run.count_results',
  `select count(*) filter (where status = 'succeeded')::int as succeeded,
          count(*) filter (where status = 'failed')::int as failed from results where job_id = $1`,
);

/** Repeated it ends nothing, and gives nothing back. */
export const RUN_FINISH = statement<JobRow>(
  'run.finish',
  `with ended as (
     update jobs j set status = $3, succeeded = $4, failed = $5, cancelled = total - $4 - $5, summary = $6, error = $7,
       ended_at = now()
     where tenant_id = $1 and id = $2 and status = 'finalizing' returning j.*, 0 as running
   ), given_back as (${QUOTA_GIVE_BACK})
   select * from ended`,
);

export const RUN_DROP_CHUNKS = statement('run.drop_chunks', `delete from chunks where job_id = $1`);
