/** A job as the engine runs it: begun, looked at, brought to its end. Every change is by the one transition table. */
import { decodeId, encodeId } from '../../domain/ids';
import type { ItemError } from '../../domain/batch/job';
import type { JobRef } from '../../domain/batch/job';
import type { Finished, RunJob } from '../../domain/batch/run';
import {
  type DesiredState,
  finalStatus,
  isFinal,
  type JobStatus,
  type Outcome,
  statusesBefore,
} from '../../domain/batch/status';
import type { Reduce, Reduced } from '../../domain/batch/reduce';
import type { JobEventType } from '../../domain/realtime/event';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_FIND } from './job-store';
import type { JobRow } from './job-row';
import { RETRY_CLEAR_JOB } from './retry-statements';
import { type Database, type Queryable, statement } from './statement';
import { computeSummary } from './summary-store';

export const RUN_BEGIN = statement<{ id: string }>(
  'run.begin',
  `update jobs j set status = 'running', started_at = coalesce(started_at, now())
   where tenant_id = $1 and id = $2 and status in ('queued', 'paused') and desired = 'running' returning id`,
);

/** The chunks before the first that is not done, and what they came to. */
export const RUN_DONE_CHUNKS = statement<{ first_open: number; succeeded: number; failed: number }>(
  'run.done_chunks',
  `with open as (
     select coalesce(min(n.no), $2::int) as no from generate_series(0, $2::int - 1) n(no)
     left join chunks c on c.job_id = $1 and c.no = n.no where c.done is not true
   )
   select open.no as first_open, coalesce(sum(c.succeeded), 0)::int as succeeded, coalesce(sum(c.failed), 0)::int as failed
   from open left join chunks c on c.job_id = $1 and c.no < open.no group by open.no`,
);

export const RUN_READ_DESIRED = statement<{ desired: DesiredState; status: JobStatus }>(
  'run.read_desired',
  `update jobs set seen_version = desired_version where tenant_id = $1 and id = $2 returning desired, status`,
);

/** One query for all the jobs that run in a process, once a second. */
export const RUN_WATCH = statement<{ id: string; status: JobStatus; desired: DesiredState }>(
  'run.watch',
  `select id, status, desired from jobs where id = any($1)`,
);

export const RUN_FINALIZE = statement(
  'run.finalize',
  `update jobs set status = 'finalizing', seen_version = desired_version,
     -- Who asked for the end gets it, also where the last item was quicker.
     outcome = case when status = 'cancelling' then 'cancelled' else $3 end
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

export const RUN_FINISH = statement<JobRow>(
  'run.finish',
  `update jobs j set status = $3, succeeded = $4, failed = $5, cancelled = total - $4 - $5, summary = $6, error = $7,
     ended_at = now()
   where tenant_id = $1 and id = $2 and status = 'finalizing' returning j.*, 0 as running`,
);

export const RUN_DROP_CHUNKS = statement('run.drop_chunks', `delete from chunks where job_id = $1`);

export interface RunStore {
  /** queued -> running. Undefined: no such job. */
  begin(ref: JobRef): Promise<RunJob | undefined>;
  find(ref: JobRef): Promise<RunJob | undefined>;
  doneChunks(ref: JobRef, chunks: number): Promise<{ firstOpen: number; succeeded: number; failed: number }>;
  readDesired(ref: JobRef): Promise<{ desired: DesiredState; status: JobStatus } | undefined>;
  watch(jobIds: readonly string[]): Promise<{ jobId: string; status: JobStatus; desired: DesiredState }[]>;
  /** Fences all chunks off and fixes the outcome; the outcome of whoever came first stands. */
  finalize(ref: JobRef, outcome: Outcome): Promise<{ status: JobStatus; outcome: Outcome } | undefined>;
  /** The aggregation; only once nothing can be written any more. */
  summarise(ref: JobRef, reduce: Reduce): Promise<Reduced>;
  /** Writes the final state, its counts taken from the results themselves, and the event. */
  finish(ref: JobRef, end: { outcome: Outcome; summary: string | null }): Promise<Finished>;
}

const ENDED_ERRORS: Partial<Record<JobStatus, ItemError>> = {
  failed: { code: 'tolerated_failure_exceeded', message: 'More items failed than the job tolerates.' },
  expired: { code: 'expired', message: 'The job did not end within its time.' },
};

export function createRunStore(db: Database, eventsOf: (db: Queryable) => EventAppender): RunStore {
  return {
    begin: (ref) => begin(db, eventsOf, ref),
    find: async (ref) => toRunJob((await db.run(JOB_FIND, keyOf(ref)))[0]),
    async doneChunks(ref, chunks) {
      const [row] = await db.run(RUN_DONE_CHUNKS, [decodeId('job', ref.jobId), chunks]);
      return { firstOpen: row?.first_open ?? 0, succeeded: row?.succeeded ?? 0, failed: row?.failed ?? 0 };
    },
    readDesired: async (ref) => (await db.run(RUN_READ_DESIRED, keyOf(ref)))[0],
    async watch(jobIds) {
      const rows = await db.run(RUN_WATCH, [jobIds.map((id) => decodeId('job', id))]);
      return rows.map(({ id, ...rest }) => ({ jobId: encodeId('job', id), ...rest }));
    },
    finalize: (ref, outcome) => finalize(db, ref, outcome),
    summarise: (ref, reduce) => computeSummary(db, { jobId: ref.jobId, reduce }),
    finish: (ref, end) => finish({ db, eventsOf, ref, end }),
  };
}

function keyOf(ref: JobRef): [string, string] {
  return [decodeId('tenant', ref.tenantId), decodeId('job', ref.jobId)];
}

async function begin(
  db: Database,
  eventsOf: (db: Queryable) => EventAppender,
  ref: JobRef,
): Promise<RunJob | undefined> {
  return db.transaction(async (tx) => {
    const [started] = await tx.run(RUN_BEGIN, keyOf(ref));
    // A job that begins again has chunks already: they hold the counts, not its row.
    const [row] = await tx.run(JOB_FIND, keyOf(ref));
    if (started !== undefined && row !== undefined) {
      await eventsOf(tx).append([jobEvent('job.started', row)]);
    }
    return toRunJob(row);
  });
}

function toRunJob(row: JobRow | undefined): RunJob | undefined {
  if (row === undefined) return undefined;
  return {
    status: row.status,
    desired: row.desired,
    handler: row.handler,
    params: row.params,
    options: row.options,
    reduce: row.reduce,
    upload: row.upload,
    total: row.total,
    chunkItems: row.chunk_items ?? Math.max(1, row.total),
    windowChunks: row.window_chunks ?? 1,
  };
}

async function finalize(
  db: Database,
  ref: JobRef,
  outcome: Outcome,
): Promise<{ status: JobStatus; outcome: Outcome } | undefined> {
  return db.transaction(async (tx) => {
    await tx.run(RUN_FINALIZE, [...keyOf(ref), outcome, statusesBefore('finalizing')]);
    await tx.run(RUN_FENCE_ALL, [decodeId('job', ref.jobId)]);
    const [row] = await tx.run(RUN_OUTCOME, keyOf(ref));
    return row === undefined ? undefined : { status: row.status, outcome: row.outcome ?? outcome };
  });
}

interface Finish {
  db: Database;
  eventsOf: (db: Queryable) => EventAppender;
  ref: JobRef;
  end: { outcome: Outcome; summary: string | null };
}

async function finish({ db, eventsOf, ref, end }: Finish): Promise<Finished> {
  const jobUuid = decodeId('job', ref.jobId);
  const [counted] = await db.run(RUN_COUNT_RESULTS, [jobUuid]);
  const { succeeded, failed } = counted ?? { succeeded: 0, failed: 0 };
  const status = finalStatus(end.outcome, failed);
  const error = ENDED_ERRORS[status];
  return db.transaction(async (tx) => {
    const [row] = await tx.run(RUN_FINISH, [
      ...keyOf(ref),
      status,
      succeeded,
      failed,
      end.summary,
      error === undefined ? null : JSON.stringify(error),
    ]);
    if (row !== undefined) {
      await tx.run(RUN_DROP_CHUNKS, [jobUuid]);
      await tx.run(RETRY_CLEAR_JOB, [jobUuid]);
      await eventsOf(tx).append([jobEvent(`job.${status}` as JobEventType, row)]);
    }
    const [now] = await tx.run(JOB_FIND, keyOf(ref));
    if (now === undefined || !isFinal(now.status)) throw new Error(`job ${ref.jobId} was not finalizing`);
    return { status: now.status, succeeded: now.succeeded, failed: now.failed, cancelled: now.cancelled };
  });
}
