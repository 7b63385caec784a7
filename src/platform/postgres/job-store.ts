/** Jobs as the API sees them: created, filled, started, read, cancelled. Fulfils `JobStore` of src/api/batch/ports.ts. */
import { AppError } from '../../domain/errors';
import type { Job, JobPage, JobRef, NewJob } from '../../domain/batch/job';
import { chunkCount, chunkItems, windowSize } from '../../domain/batch/partition';
import type { JobSummary } from '../../domain/batch/reduce';
import { isFinal, statusesBefore } from '../../domain/batch/status';
import { decodeId } from '../../domain/ids';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_COLUMNS, type JobRow, LIVE_COUNTS, toJob } from './job-row';
import { type Queryable, statement } from './statement';
import { createSummaryStore } from './summary-store';

export const JOB_INSERT = statement<JobRow>(
  'job.insert',
  `insert into jobs as j (id, tenant_id, name, handler, params, reduce, options, metadata, status)
   values ($1, $2, $3, $4, $5, $6, $7, $8, 'created') returning j.*, 0 as running`,
);

export const JOB_FIND = statement<JobRow>(
  'job.find',
  `select ${JOB_COLUMNS} from jobs j ${LIVE_COUNTS} where j.tenant_id = $1 and j.id = $2`,
);

/** Under the row's lock: for changes that must look before they write. */
export const JOB_LOCK = statement<JobRow>(
  'job.lock',
  `select j.*, 0 as running from jobs j where j.tenant_id = $1 and j.id = $2 for update`,
);

/** Pages newest first; a filter that is null lets all pass. */
export const JOB_LIST = statement<JobRow>(
  'job.list',
  `select ${JOB_COLUMNS} from (
     select * from jobs where tenant_id = $1 and ($2::uuid is null or id < $2) and ($3::text is null or handler = $3)
     order by id desc limit $4
   ) j ${LIVE_COUNTS} order by j.id desc`,
);

export const JOB_LIST_BY_STATUS = statement<JobRow>(
  'job.list_by_status',
  `select ${JOB_COLUMNS} from (
     select * from jobs where tenant_id = $1 and status = $5 and ($2::uuid is null or id < $2)
       and ($3::text is null or handler = $3)
     order by id desc limit $4
   ) j ${LIVE_COUNTS} order by j.id desc`,
);

export const JOB_OPEN_UPLOAD = statement<{ upload: number }>(
  'job.open_upload',
  `update jobs set upload_seq = upload_seq + 1 where tenant_id = $1 and id = $2 and status = 'created'
   returning upload_seq as upload`,
);

export const JOB_SET_UPLOAD = statement<JobRow>(
  'job.set_upload',
  `update jobs j set upload = $3, total = $4 where tenant_id = $1 and id = $2 returning j.*, 0 as running`,
);

export const ITEMS_DROP_UPLOAD = statement(
  'items.drop_upload',
  `delete from items where job_id = $1 and upload = $2`,
);

export const JOB_START = statement<JobRow>(
  'job.start',
  `update jobs j set status = 'queued', queued_at = now(), chunk_items = $3, window_chunks = $4
   where tenant_id = $1 and id = $2 and status = 'created' returning j.*, 0 as running`,
);

export const JOB_CANCEL_UNSTARTED = statement<JobRow>(
  'job.cancel_unstarted',
  `update jobs j set status = 'cancelled', desired = 'cancelled', desired_version = desired_version + 1,
     ended_at = now(), cancelled = total
   where tenant_id = $1 and id = $2 and status = 'created' returning j.*, 0 as running`,
);

export const JOB_CANCEL = statement<{ id: string }>(
  'job.cancel',
  `update jobs j set status = 'cancelling', desired = 'cancelled', desired_version = desired_version + 1
   where tenant_id = $1 and id = $2 and status = any($3) returning id`,
);

export interface JobStore {
  insert(job: NewJob): Promise<Job>;
  find(ref: JobRef): Promise<Job>;
  list(page: JobPage): Promise<Job[]>;
  summary(ref: JobRef): Promise<JobSummary>;
  openUpload(ref: JobRef): Promise<number>;
  finishUpload(upload: JobRef & { upload: number; total: number }): Promise<Job>;
  start(ref: JobRef): Promise<Job>;
  cancel(ref: JobRef): Promise<Job>;
}

/** @param db for `insert`, `finishUpload`, `start` and `cancel` a transaction: they write more than one row. */
export function createJobStore(db: Queryable, events: EventAppender): JobStore {
  return {
    insert: (job) => insertJob(db, events, job),
    find: async (ref) => toJob(await one(db, JOB_FIND, keyOf(ref))),
    list: (page) => listJobs(db, page),
    summary: (ref) => createSummaryStore(db).read(ref),
    openUpload: (ref) => openUpload(db, ref),
    finishUpload: (upload) => finishUpload(db, upload),
    start: (ref) => startJob(db, events, ref),
    cancel: (ref) => cancelJob(db, events, ref),
  };
}

function keyOf(ref: JobRef): [string, string] {
  return [decodeId('tenant', ref.tenantId), decodeId('job', ref.jobId)];
}

type JobStatement = typeof JOB_FIND;

/** @throws AppError `not_found`: another tenant's job answers like none. */
async function one(db: Queryable, stmt: JobStatement, values: unknown[]): Promise<JobRow> {
  const [row] = await db.run(stmt, values);
  if (row === undefined) throw new AppError('not_found', 'There is no job with this id.');
  return row;
}

async function insertJob(db: Queryable, events: EventAppender, job: NewJob): Promise<Job> {
  const row = await one(db, JOB_INSERT, [
    ...keyOf({ tenantId: job.tenantId, jobId: job.id }).reverse(),
    job.name,
    job.handler,
    JSON.stringify(job.params),
    job.reduce === null ? null : JSON.stringify(job.reduce),
    JSON.stringify(job.options),
    JSON.stringify(job.metadata),
  ]);
  await events.append([jobEvent('job.created', row)]);
  return toJob(row);
}

async function listJobs(db: Queryable, page: JobPage): Promise<Job[]> {
  const values = [
    decodeId('tenant', page.tenantId),
    page.after === undefined ? null : decodeId('job', page.after),
    page.handler ?? null,
    page.limit,
  ];
  const rows =
    page.status === undefined
      ? await db.run(JOB_LIST, values)
      : await db.run(JOB_LIST_BY_STATUS, [...values, page.status]);
  return rows.map(toJob);
}

const NOT_OPEN = 'Items are taken until the job is started.';

async function openUpload(db: Queryable, ref: JobRef): Promise<number> {
  const [row] = await db.run(JOB_OPEN_UPLOAD, keyOf(ref));
  if (row !== undefined) return row.upload;
  await one(db, JOB_FIND, keyOf(ref));
  throw new AppError('job_not_open', NOT_OPEN);
}

async function finishUpload(db: Queryable, upload: JobRef & { upload: number; total: number }): Promise<Job> {
  const before = await one(db, JOB_LOCK, keyOf(upload));
  if (before.status !== 'created') throw new AppError('job_not_open', NOT_OPEN);
  if (before.upload !== 0) await db.run(ITEMS_DROP_UPLOAD, [before.id, before.upload]);
  return toJob(await one(db, JOB_SET_UPLOAD, [...keyOf(upload), upload.upload, upload.total]));
}

async function startJob(db: Queryable, events: EventAppender, ref: JobRef): Promise<Job> {
  const before = await one(db, JOB_LOCK, keyOf(ref));
  if (isFinal(before.status))
    throw new AppError('job_already_ended', 'The job has ended; retry derives a new one.');
  if (before.status !== 'created') return toJob(await one(db, JOB_FIND, keyOf(ref)));
  if (before.total === 0) throw new AppError('job_has_no_items', 'Upload items before the job is started.');
  const size = chunkItems(before.total);
  const window = windowSize(before.options.max_concurrency, chunkCount(before.total, size));
  const row = await one(db, JOB_START, [...keyOf(ref), size, window]);
  await events.append([jobEvent('job.queued', row)]);
  return toJob(row);
}

async function cancelJob(db: Queryable, events: EventAppender, ref: JobRef): Promise<Job> {
  const [unstarted] = await db.run(JOB_CANCEL_UNSTARTED, keyOf(ref));
  if (unstarted !== undefined) {
    await events.append([jobEvent('job.cancelled', unstarted)]);
    return toJob(unstarted);
  }
  const [cancelling] = await db.run(JOB_CANCEL, [...keyOf(ref), statusesBefore('cancelling')]);
  // Of a job under way the chunks hold the counts, not its row.
  const row = await one(db, JOB_FIND, keyOf(ref));
  if (cancelling !== undefined) await events.append([jobEvent('job.cancelling', row)]);
  else if (row.status !== 'cancelling' && row.status !== 'cancelled') {
    throw new AppError('job_already_ended', 'The job has ended, or is being brought to its end.');
  }
  return toJob(row);
}
