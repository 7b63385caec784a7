/** A job as the engine runs it: begun, looked at, brought to its end. Every change is by the one transition table. */
import type { ItemError, JobRef } from '../../domain/batch/job';
import { DONE_MAP_MAX } from '../../domain/batch/done-map';
import { limitsOf } from '../../domain/batch/partition';
import type { Reduce, Reduced } from '../../domain/batch/reduce';
import type { Control, DoneChunks, Finished, RunJob } from '../../domain/batch/run';
import {
  finalStatus,
  isFinal,
  type JobStatus,
  type Outcome,
  statusesBefore,
} from '../../domain/batch/status';
import { failuresTolerated } from '../../domain/batch/tolerance';
import { decodeId, encodeId } from '../../domain/ids';
import type { JobEventType } from '../../domain/realtime/event';
import { deriveItems } from './derive-items';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_FIND } from './job-find';
import { RETRY_CLEAR_JOB } from './retry-statements';
import {
  RUN_BEGIN,
  RUN_COUNT_RESULTS,
  RUN_DONE_CHUNKS,
  RUN_DROP_CHUNKS,
  RUN_EXCEED,
  RUN_EXPIRE,
  RUN_FENCE_ALL,
  RUN_FINALIZE,
  RUN_FIND,
  RUN_FINISH,
  RUN_LOCK_TENANT,
  RUN_LOOK,
  RUN_NEXT_WAITING,
  RUN_OUTCOME,
  RUN_SEATS_TAKEN,
  RUN_WATCH,
  type RunRow,
  type WatchRow,
} from './run-statements';
import type { Database, Queryable } from './statement';
import { computeSummary } from './summary-store';

export interface RunStore {
  /** queued -> running where the plan has a seat, with its items where it is another job's retry. Undefined: no such job. */
  begin(ref: JobRef): Promise<RunJob | undefined>;
  find(ref: JobRef): Promise<RunJob | undefined>;
  doneChunks(ref: JobRef, chunks: number): Promise<DoneChunks>;
  /** The job as it is, and a note in its row that the workflow looked at it. */
  look(ref: JobRef): Promise<RunJob | undefined>;
  expire(ref: JobRef): Promise<void>;
  /** Decides that the job ends for its failed items, where they are more than `tolerated`. @returns whether they are */
  exceed(ref: JobRef, tolerated: number): Promise<boolean>;
  watch(jobIds: readonly string[]): Promise<({ jobId: string } & Control)[]>;
  nextWaiting(tenantId: string): Promise<JobRef | undefined>;
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
    find: async (ref) => toRunJob((await db.run(RUN_FIND, keyOf(ref)))[0]),
    async doneChunks(ref, chunks) {
      const [row] = await db.run(RUN_DONE_CHUNKS, [decodeId('job', ref.jobId), chunks, DONE_MAP_MAX]);
      if (row === undefined) throw new Error('an aggregate has a row');
      const { first_open: firstOpen, done_after: doneAfter, succeeded, failed } = row;
      return { firstOpen, doneAfter, succeeded, failed };
    },
    look: async (ref) => toRunJob((await db.run(RUN_LOOK, keyOf(ref)))[0]),
    expire: async (ref) => void (await db.run(RUN_EXPIRE, keyOf(ref))),
    exceed: async (ref, tolerated) => (await db.run(RUN_EXCEED, [...keyOf(ref), tolerated])).length > 0,
    async watch(jobIds) {
      const rows = await db.run(RUN_WATCH, [jobIds.map((id) => decodeId('job', id))]);
      return rows.map((row) => ({ jobId: encodeId('job', row.id), ...toControl(row) }));
    },
    async nextWaiting(tenantId) {
      const [next] = await db.run(RUN_NEXT_WAITING, [decodeId('tenant', tenantId)]);
      return next === undefined ? undefined : { tenantId, jobId: encodeId('job', next.id) };
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
  let [job] = await db.run(RUN_FIND, keyOf(ref));
  if (job !== undefined && isUnderived(job)) {
    await db.transaction((tx) => deriveItems(tx, ref));
    [job] = await db.run(RUN_FIND, keyOf(ref));
  }
  if (job === undefined || job.status !== 'queued' || job.desired !== 'running') return toRunJob(job);
  return db.transaction(async (tx) => {
    if (await hasSeat(tx, ref, job.running_jobs)) {
      const [started] = await tx.run(RUN_BEGIN, keyOf(ref));
      // A job that begins again has chunks already: they hold the counts, not its row.
      const [row] = started === undefined ? [] : await tx.run(JOB_FIND, keyOf(ref));
      if (started !== undefined && row !== undefined) {
        await eventsOf(tx).append([{ ...jobEvent('job.started', row), occurrence: started.desired_version }]);
      }
    }
    return toRunJob((await tx.run(RUN_FIND, keyOf(ref)))[0]);
  });
}

/** Also where it is cancelled already: its items are what it shows as cancelled, and what a retry of it takes over. */
function isUnderived({ parent_job_id, upload, status }: RunRow): boolean {
  return parent_job_id !== null && upload === 0 && !isFinal(status);
}

/** Whether the plan lets the job run, now that it is next. */
async function hasSeat(tx: Queryable, ref: JobRef, runningJobs: number | null): Promise<boolean> {
  if (runningJobs === null) return true;
  await tx.run(RUN_LOCK_TENANT, [decodeId('tenant', ref.tenantId)]);
  const [seats] = await tx.run(RUN_SEATS_TAKEN, [...keyOf(ref), runningJobs]);
  return seats !== undefined && seats.taken < runningJobs;
}

function toRunJob(row: RunRow | undefined): RunJob | undefined {
  if (row === undefined) return undefined;
  return {
    ...toControl(row),
    handler: row.handler,
    params: row.params,
    options: row.options,
    reduce: row.reduce,
    upload: row.upload,
    total: row.total,
    chunkItems: row.chunk_items ?? Math.max(1, row.total),
    expiresAt: row.expires_at,
  };
}

function toControl(row: Omit<WatchRow, 'id'>): Control {
  return {
    status: row.status,
    desired: row.desired,
    outcome: row.outcome,
    limits: limitsOf(row.options, row.concurrency_per_job),
    tolerated: failuresTolerated(row.options.tolerated_failure, row.total),
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
  const [job] = await db.run(RUN_FIND, keyOf(ref));
  const status = finalStatus(end.outcome, failed, job === undefined ? null : toControl(job).tolerated);
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
