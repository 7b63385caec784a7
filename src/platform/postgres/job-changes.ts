/**
 * Jobs as operators change them: started, paused, resumed, cancelled, given other limits, deleted. Each change looks under the
 * row's lock, so that asking twice is asking once, and writes its event in the same transaction.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Job, JobPatch, JobRef, LiveOptions } from '../../domain/batch/job';
import { chunkItems } from '../../domain/batch/partition';
import { FINAL_STATUSES, isFinal, type JobStatus, statusesBefore } from '../../domain/batch/status';
import { AppError } from '../../domain/errors';
import type { JobEventType } from '../../domain/realtime/event';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_FIND, JOB_LOCK, keyOf, oneJob } from './job-find';
import { END_PAUSE, type JobRow, toJob } from './job-row';
import { refuseTooMany } from './items-allowed';
import { reserveItems } from './quota-store';
import { type Queryable, type Statement, statement } from './statement';

/** The clock of `expires_in_seconds` runs from here; without one `expires_at` comes out null. */
export const JOB_START = statement<JobRow>(
  'job.start',
  `update jobs j set status = 'queued', queued_at = now(), chunk_items = $3, quota_month = $4, quota_items = total,
     expires_at = now() + make_interval(secs => (options ->> 'expires_in_seconds')::float8)
   where tenant_id = $1 and id = $2 and status = 'created' returning j.*, 0 as running`,
);

export const JOB_PAUSE = statement(
  'job.pause',
  `update jobs set status = 'paused', desired = 'paused', desired_version = desired_version + 1, paused_at = now()
   where tenant_id = $1 and id = $2 and status = any($3)`,
);

/** It waits in line again: whether the tenant's plan has a seat is seen where the job is begun. */
export const JOB_RESUME = statement(
  'job.resume',
  `update jobs set status = 'queued', desired = 'running', desired_version = desired_version + 1, ${END_PAUSE}
   where tenant_id = $1 and id = $2 and status = any($3)`,
);

export const JOB_CANCEL = statement(
  'job.cancel',
  `update jobs set status = 'cancelling', desired = 'cancelled', desired_version = desired_version + 1, ${END_PAUSE}
   where tenant_id = $1 and id = $2 and status = any($3)`,
);

/** Its items stay: a retry can take them over. */
export const JOB_CANCEL_UNSTARTED = statement(
  'job.cancel_unstarted',
  `update jobs set status = 'cancelled', desired = 'cancelled', desired_version = desired_version + 1,
     ended_at = now(), cancelled = total
   where tenant_id = $1 and id = $2 and status = any($3)`,
);

export const JOB_UPDATE = statement(
  'job.update',
  `update jobs set name = $3, metadata = $4, options = $5, desired_version = desired_version + 1
   where tenant_id = $1 and id = $2`,
);

/** A retry of the job that has yet to take its items over. */
export const JOB_TAKER = statement<{ id: string }>(
  'job.taker',
  `select id from jobs where parent_job_id = $1 and upload = 0 and status <> all($2)`,
);

/** Chunks, waiting items and the pace go with the row; items and results, maybe millions, are left to the purge. */
export const JOB_DELETE = statement(
  'job.delete',
  `with gone as (delete from jobs where tenant_id = $1 and id = $2 and status = any($3) returning id)
   insert into job_remains (job_id) select id from gone`,
);

export interface JobChanges {
  start(ref: JobRef): Promise<Job>;
  pause(ref: JobRef): Promise<Job>;
  resume(ref: JobRef): Promise<Job>;
  cancel(ref: JobRef): Promise<Job>;
  update(ref: JobRef, patch: JobPatch): Promise<Job>;
  remove(ref: JobRef): Promise<void>;
}

/** @param db a transaction: each change is more than one statement */
export function createJobChanges(db: Queryable, events: EventAppender): JobChanges {
  const by = { db, events };
  return {
    start: (ref) => start(by, ref),
    pause: (ref) => control(by, ref, [PAUSE]),
    resume: (ref) => control(by, ref, [RESUME]),
    cancel: (ref) => control(by, ref, [CANCEL, CANCEL_UNSTARTED]),
    update: (ref, patch) => update(by, ref, patch),
    remove: (ref) => remove(by, ref),
  };
}

interface By {
  db: Queryable;
  events: EventAppender;
}

async function start({ db, events }: By, ref: JobRef): Promise<Job> {
  const before = await oneJob(db, JOB_LOCK, keyOf(ref));
  if (isFinal(before.status))
    throw new AppError('job_already_ended', 'The job has ended; retry derives a new one.');
  if (before.status !== 'created') return toJob(await oneJob(db, JOB_FIND, keyOf(ref)));
  if (before.total === 0) throw new AppError('job_has_no_items', 'Upload items before the job is started.');
  await refuseTooMany(db, ref.tenantId, before.total);
  const month = await reserveItems({ db, events }, ref.tenantId, before.total);
  const row = await oneJob(db, JOB_START, [...keyOf(ref), chunkItems(before.total), month]);
  await events.append([jobEvent('job.queued', row)]);
  return toJob(row);
}

interface Control {
  change: Statement<Record<string, never>>;
  from: readonly JobStatus[];
  /** where it was asked for before: nothing changes */
  already: readonly JobStatus[];
  event: JobEventType;
}

const PAUSE: Control = {
  change: JOB_PAUSE,
  from: statusesBefore('paused'),
  already: ['paused'],
  event: 'job.paused',
};
const RESUME: Control = {
  change: JOB_RESUME,
  from: ['paused'],
  already: ['queued', 'running'],
  event: 'job.resumed',
};
const CANCEL: Control = {
  change: JOB_CANCEL,
  from: statusesBefore('cancelling'),
  already: ['cancelling', 'cancelled'],
  event: 'job.cancelling',
};
const CANCEL_UNSTARTED: Control = {
  change: JOB_CANCEL_UNSTARTED,
  from: ['created'],
  already: [],
  event: 'job.cancelled',
};

/** @param wishes of which the first says where it was asked for before */
async function control(
  { db, events }: By,
  ref: JobRef,
  wishes: readonly [Control, ...Control[]],
): Promise<Job> {
  const { status } = await oneJob(db, JOB_LOCK, keyOf(ref));
  const wish = wishes.find(({ from }) => from.includes(status));
  if (wish === undefined && !wishes[0].already.includes(status)) throw refusal(status);
  if (wish !== undefined) await db.run(wish.change, [...keyOf(ref), wish.from]);
  // Of a job under way the chunks hold the counts, not its row.
  const row = await oneJob(db, JOB_FIND, keyOf(ref));
  if (wish !== undefined) await events.append([jobEvent(wish.event, row)]);
  return toJob(row);
}

function refusal(status: JobStatus): AppError {
  if (status === 'created') return new AppError('job_not_started', 'The job has not been started.');
  return new AppError('job_already_ended', 'The job has ended, or is being brought to its end.');
}

/** Limits of a job in one of these may still matter. */
const OPEN: readonly JobStatus[] = ['created', 'queued', 'running', 'paused'];

async function update({ db, events }: By, ref: JobRef, patch: JobPatch): Promise<Job> {
  const before = await oneJob(db, JOB_LOCK, keyOf(ref));
  const after = patched(before, patch);
  const newOptions = !isDeepStrictEqual(after.options, before.options);
  if (newOptions && !OPEN.includes(before.status)) throw refusal(before.status);
  const changes =
    newOptions || after.name !== before.name || !isDeepStrictEqual(after.metadata, before.metadata);
  if (changes) {
    const { name, metadata, options } = after;
    await db.run(JOB_UPDATE, [...keyOf(ref), name, JSON.stringify(metadata), JSON.stringify(options)]);
  }
  const row = await oneJob(db, JOB_FIND, keyOf(ref));
  if (changes) await events.append([jobEvent('job.updated', row)]);
  return toJob(row);
}

type Patched = Pick<JobRow, 'name' | 'metadata' | 'options'>;

/** As it would be read back: what is undefined in a patch is not there. */
function patched(before: JobRow, { name, metadata, options }: JobPatch): Patched {
  return {
    name: name === undefined ? before.name : name,
    metadata: metadata ?? before.metadata,
    options: { ...before.options, ...(JSON.parse(JSON.stringify(options ?? {})) as Partial<LiveOptions>) },
  };
}

async function remove({ db, events }: By, ref: JobRef): Promise<void> {
  const row = await oneJob(db, JOB_LOCK, keyOf(ref));
  if (row.status !== 'created' && !isFinal(row.status)) {
    throw new AppError('job_not_ended', 'The job has not ended; cancel it first.');
  }
  const [taker] = await db.run(JOB_TAKER, [row.id, FINAL_STATUSES]);
  if (taker !== undefined) {
    const detail = 'A retry of this job has yet to take its items over.';
    throw new AppError('job_in_use', detail, { retryAfterSeconds: 1 });
  }
  await db.run(JOB_DELETE, [...keyOf(ref), ['created', ...FINAL_STATUSES]]);
  await events.append([jobEvent('job.deleted', row)]);
}
