/** Jobs as the API sees them: created, filled, read; `job-changes` has the rest. Fulfils `JobStore` of src/api/batch/ports.ts. */
import { AppError } from '../../domain/errors';
import type { Job, JobPage, JobRef, NewJob, NewRetry } from '../../domain/batch/job';
import type { JobSummary } from '../../domain/batch/reduce';
import { decodeId } from '../../domain/ids';
import { type Retried, retryJob } from './derive-items';
import { createJobChanges, type JobChanges } from './job-changes';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_FIND, JOB_LOCK, keyOf, oneJob } from './job-find';
import { JOB_COLUMNS, type JobRow, LIVE_COUNTS, toJob } from './job-row';
import { type Queryable, statement } from './statement';
import { createSummaryStore } from './summary-store';

export const JOB_INSERT = statement<JobRow>(
  'job.insert',
  `insert into jobs as j (id, tenant_id, name, handler, params, reduce, options, metadata, status, key_id)
   values ($1, $2, $3, $4, $5, $6, $7, $8, 'created', $9) returning j.*, 0 as running`,
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

export interface JobStore extends JobChanges {
  insert(job: NewJob): Promise<Job>;
  find(ref: JobRef): Promise<Job>;
  list(page: JobPage): Promise<Job[]>;
  summary(ref: JobRef): Promise<JobSummary>;
  openUpload(ref: JobRef): Promise<number>;
  finishUpload(upload: JobRef & { upload: number; total: number }): Promise<Job>;
  retry(ref: JobRef, wish: NewRetry): Promise<Retried>;
}

/** @param db for all but `find`, `list`, `summary` and `openUpload` a transaction: they write more than one row. */
export function createJobStore(db: Queryable, events: EventAppender): JobStore {
  return {
    insert: (job) => insertJob(db, events, job),
    find: async (ref) => toJob(await oneJob(db, JOB_FIND, keyOf(ref))),
    list: (page) => listJobs(db, page),
    summary: (ref) => createSummaryStore(db).read(ref),
    openUpload: (ref) => openUpload(db, ref),
    finishUpload: (upload) => finishUpload(db, upload),
    retry: (ref, wish) => retryJob({ db, events }, ref, wish),
    ...createJobChanges(db, events),
  };
}

async function insertJob(db: Queryable, events: EventAppender, job: NewJob): Promise<Job> {
  const row = await oneJob(db, JOB_INSERT, [
    ...keyOf({ tenantId: job.tenantId, jobId: job.id }).reverse(),
    job.name,
    job.handler,
    JSON.stringify(job.params),
    job.reduce === null ? null : JSON.stringify(job.reduce),
    JSON.stringify(job.options),
    JSON.stringify(job.metadata),
    job.keyId === null ? null : decodeId('key', job.keyId),
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
  await oneJob(db, JOB_FIND, keyOf(ref));
  throw new AppError('job_not_open', NOT_OPEN);
}

async function finishUpload(db: Queryable, upload: JobRef & { upload: number; total: number }): Promise<Job> {
  const before = await oneJob(db, JOB_LOCK, keyOf(upload));
  if (before.status !== 'created') throw new AppError('job_not_open', NOT_OPEN);
  if (before.upload !== 0) await db.run(ITEMS_DROP_UPLOAD, [before.id, before.upload]);
  return toJob(await oneJob(db, JOB_SET_UPLOAD, [...keyOf(upload), upload.upload, upload.total]));
}
