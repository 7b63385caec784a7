/**
 * Retry: a job that does again what failed, or was left out, of an ended one (its parent). It is made in one row and queued at
 * once; its items are taken over later, in the worker, where nobody waits for them.
 */
import type { Job, JobRef, NewRetry } from '../../domain/batch/job';
import { chunkItems } from '../../domain/batch/partition';
import { isFinal } from '../../domain/batch/status';
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { type EventAppender, jobEvent } from './job-events';
import { JOB_LOCK, keyOf, oneJob } from './job-find';
import { JOB_COLUMNS, type JobRow, LIVE_COUNTS, toJob } from './job-row';
import { refuseTooMany } from './items-allowed';
import { reserveItems } from './quota-store';
import { type Queryable, statement } from './statement';

/** In SQL, so that params and reduce keep their exact text, and what is sealed in them stays sealed. */
export const RETRY_INSERT = statement<JobRow>(
  'retry.insert',
  `insert into jobs as j (id, tenant_id, name, handler, params, reduce, options, metadata, status, total, chunk_items,
     queued_at, expires_at, parent_job_id, key_id, quota_month, quota_items)
   select $3, p.tenant_id, $4, p.handler, p.params, p.reduce, $5, $6, 'queued', p.failed + p.cancelled, $7,
     now(), now() + make_interval(secs => ($5::json ->> 'expires_in_seconds')::float8), p.id, $8, $9, p.failed + p.cancelled
   from jobs p where p.tenant_id = $1 and p.id = $2
   on conflict (parent_job_id) where parent_job_id is not null do nothing
   returning j.*, 0 as running`,
);

export const RETRY_FIND = statement<JobRow>(
  'retry.find',
  `select ${JOB_COLUMNS} from jobs j ${LIVE_COUNTS} where j.tenant_id = $1 and j.parent_job_id = $2`,
);

export interface Retried {
  job: Job;
  /** false: it was asked for before */
  made: boolean;
}

/**
 * @param db a transaction
 * @throws AppError `not_found`, `job_not_ended`, `nothing_to_retry`, `too_many_items`, `quota_exceeded`
 */
export async function retryJob(
  { db, events }: { db: Queryable; events: EventAppender },
  ref: JobRef,
  wish: NewRetry,
): Promise<Retried> {
  const parent = await oneJob(db, JOB_LOCK, keyOf(ref));
  if (!isFinal(parent.status))
    throw new AppError('job_not_ended', 'Only a job that has ended can be retried.');
  const [known] = await db.run(RETRY_FIND, keyOf(ref));
  if (known !== undefined) return { job: toJob(known), made: false };
  const total = parent.failed + parent.cancelled;
  if (total === 0) throw new AppError('nothing_to_retry', 'No item of the job failed or was left out.');
  await refuseTooMany(db, ref.tenantId, total);
  const row = await oneJob(db, RETRY_INSERT, [
    ...keyOf(ref),
    decodeId('job', wish.id),
    wish.name === undefined ? parent.name : wish.name,
    JSON.stringify(wish.options),
    JSON.stringify(wish.metadata ?? parent.metadata),
    chunkItems(total),
    wish.keyId === null ? null : decodeId('key', wish.keyId),
    await reserveItems({ db, events }, ref.tenantId, total),
  ]);
  await events.append([jobEvent('job.created', { ...row, status: 'created' }), jobEvent('job.queued', row)]);
  return { job: toJob(row), made: true };
}

/** The upload as which a retry's items count. */
const UPLOAD = 1;
const TIMEOUT_MS = 10 * 60_000;

interface Underived {
  parent_job_id: string;
  /** null: the parent is gone */
  parent_upload: number | null;
  has_unattempted: boolean | null;
}

/** A job whose items are still its parent's. `key share`: it can be paused and cancelled meanwhile, but not deleted. */
export const DERIVE_FIND = statement<Underived>(
  'derive.find',
  `select j.parent_job_id, p.upload as parent_upload, p.cancelled > 0 as has_unattempted
   from jobs j left join jobs p on p.tenant_id = j.tenant_id and p.id = j.parent_job_id
   where j.tenant_id = $1 and j.id = $2 and j.upload = 0 and j.parent_job_id is not null for key share of j`,
);

export const DERIVE_TIME_LIMIT = statement<{ set_config: string }>(
  'derive.time_limit',
  `select set_config('statement_timeout', $1, true)`,
);

/** Not the row's lock: whoever pauses or cancels the job would have to wait until the last item is copied. */
export const DERIVE_TURN = {
  ...statement('derive.turn', `select pg_advisory_xact_lock(hashtextextended('millrace.derive ' || $1, 0))`),
  timeoutMs: TIMEOUT_MS,
};

/**
 * $1 the job, $2 its parent, $3 the parent's upload, $4 whether any item of it has no result at all. What is left over is found
 * and numbered by indexes alone; `limit 1` keeps each further step a look-up per row, whatever the planner expects of a job
 * that its statistics have not seen yet: joined by a wrong guess, a million items would be a million squared. An item
 * whose name is its new index needs none of its own.
 */
export const DERIVE_ITEMS = {
  ...statement(
    'derive.items',
    `insert into items (job_id, upload, index, custom_id, input)
     select $1, ${UPLOAD}, place, nullif(coalesce(i.custom_id, left_over.index::text), place::text), i.input
     from (
       select index, row_number() over (order by index)::int - 1 as place from (
         select i.index from items i
         left join lateral (select true as ended from results where job_id = $2 and index = i.index limit 1) r on true
         where $4::boolean and i.job_id = $2 and i.upload = $3 and r.ended is null
         union all
         select index from results where job_id = $2 and status = 'failed'
       ) unsorted
     ) left_over
     cross join lateral (
       select custom_id, input from items where job_id = $2 and upload = $3 and index = left_over.index limit 1
     ) i`,
  ),
  timeoutMs: TIMEOUT_MS,
};

/** They are numbered without holes, so the last one tells how many there are. */
export const DERIVE_SETTLE = statement(
  'derive.settle',
  `update jobs set upload = ${UPLOAD}, upload_seq = ${UPLOAD},
     total = coalesce((select index + 1 from items where job_id = $2 and upload = ${UPLOAD} order by index desc limit 1), 0)
   where tenant_id = $1 and id = $2`,
);

/**
 * Takes over the parent's items that have no succeeded result, where that is still to be done; several at once do it once.
 * Of any other job this is one look-up.
 * @param tx a transaction; its `statement_timeout` is raised
 */
export async function deriveItems(tx: Queryable, job: JobRef): Promise<void> {
  const [tenant, uuid] = keyOf(job);
  if ((await tx.run(DERIVE_FIND, [tenant, uuid])).length === 0) return;
  await tx.run(DERIVE_TIME_LIMIT, [String(TIMEOUT_MS)]);
  await tx.run(DERIVE_TURN, [uuid]);
  // Again: who had the turn before has done it.
  const [found] = await tx.run(DERIVE_FIND, [tenant, uuid]);
  if (found === undefined) return;
  const { parent_job_id: parent, parent_upload: upload, has_unattempted: unattempted } = found;
  await tx.run(DERIVE_ITEMS, [uuid, parent, upload, unattempted]);
  await tx.run(DERIVE_SETTLE, [tenant, uuid]);
}
