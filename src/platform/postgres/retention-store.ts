/**
 * Jobs that go without anybody asking: those past the retention of their tenant's plan, and all of a deleted tenant. Each goes
 * as by `DELETE /v1/jobs/{id}`. Over all tenants, since it acts for none.
 */
import type { JobRef } from '../../domain/batch/job';
import { FINAL_STATUSES, type JobStatus, statusesBefore } from '../../domain/batch/status';
import { decodeId, encodeId } from '../../domain/ids';
import { type EventAppender, jobEvent } from './job-events';
import type { JobRow } from './job-row';
import { type Database, type Queryable, statement } from './statement';

/** Of `jobs j`: a retry of it has yet to take its items over (`job.taker`). $1: the final statuses. */
const TAKEN_FROM = `exists (
  select from jobs c where c.parent_job_id = j.id and c.upload = 0 and c.status <> all($1)
)`;

interface DueRow {
  /** the last tenant that was looked at; null: there was none left */
  last: string | null;
  due: string[];
}

/**
 * Up to $4 jobs of the $3 tenants after $2, locked. What another worker is at is passed over. One look-up of an index per tenant
 * that has nothing to remove.
 */
export const RETENTION_DUE = statement<DueRow>(
  'retention.due',
  `with page as materialized (
     select id from tenants where deleted_at is null and id > $2 order by id limit $3
   ), due as materialized (
     select old.id from page cross join lateral plan_of(page.id, now()) p cross join lateral (
       select j.id from jobs j
       where j.tenant_id = page.id and j.ended_at < now() - make_interval(days => p.retention_days) and not ${TAKEN_FROM}
       order by j.ended_at limit $4 for no key update skip locked
     ) old limit $4
   )
   select (select id from page order by id desc limit 1) as last, array(select id from due) as due`,
);

/** An hour, since a request that was let in before may have made a job after. */
const SETTLED = `t.deleted_at < now() - interval '1 hour'`;

/** Deleted tenants after $1 that have jobs in one of the statuses $3, or that can be forgotten. */
export const RETENTION_LEAVING = statement<{ id: string }>(
  'retention.leaving',
  `select t.id from tenants t
   where t.deleted_at is not null and t.cleared_at is null and t.id > $1
     and (${SETTLED} or exists (select from jobs j where j.tenant_id = t.id and j.status = any($3)))
   order by t.id limit $2`,
);

/** $2: the statuses of jobs that can be removed. */
export const RETENTION_LEFT = statement<{ id: string }>(
  'retention.left',
  `select j.id from jobs j where j.tenant_id = $3 and j.status = any($2) and not ${TAKEN_FROM}
   order by j.id limit $4 for no key update skip locked`,
);

export const RETENTION_OPEN = statement<{ id: string }>(
  'retention.open',
  `select id from jobs where tenant_id = $1 and status = any($2) order by id limit $3`,
);

export const RETENTION_CLEARED = statement(
  'retention.cleared',
  `update tenants t set cleared_at = now() where t.id = $1 and ${SETTLED}
     and not exists (select from jobs where tenant_id = t.id)`,
);

/** What an event tells of a job, without what may be large. */
const TOLD = `j.id, j.tenant_id, j.name, j.handler, null::json as params, null::json as reduce, j.options, j.metadata, j.status,
  j.desired, j.desired_version, j.upload, j.total, j.chunk_items, j.succeeded, j.failed, j.cancelled, 0 as running, j.error,
  j.parent_job_id, j.created_at, j.queued_at, j.started_at, j.ended_at, j.expires_at, j.paused_at, j.paused_ms`;

/** Jobs that this transaction has locked: none gets a retry any more, so one that came before the lock is seen here. */
export const RETENTION_REMOVE = statement<JobRow>(
  'retention.remove',
  `with gone as (
     delete from jobs j where j.id = any($2::uuid[]) and not ${TAKEN_FROM} returning ${TOLD}
   ), remains as (insert into job_remains (job_id) select id from gone)
   select * from gone`,
);

const TENANTS_MAX = 1_000;
const JOBS_MAX = 50;
const FIRST = '00000000-0000-0000-0000-000000000000';
const REMOVABLE: readonly JobStatus[] = ['created', ...FINAL_STATUSES];
/** What an operator could cancel. */
const OPEN = statusesBefore('cancelling');

export interface RemovedJobs {
  removed: number;
  /** where to go on; undefined: that was the last */
  next: string | undefined;
}

export interface RetentionStore {
  /**
   * One transaction's worth of jobs that are past their retention.
   * @param from what an earlier call answered as `next`; left out: from the first tenant
   */
  removeOld(from?: string): Promise<RemovedJobs>;
  /** Deleted tenants after `after` with which something is to be done; empty: no more. */
  leaving(after?: string): Promise<string[]>;
  /** One transaction's worth of a deleted tenant's jobs. @returns how many; 0: none can be removed right now */
  removeOf(tenantId: string): Promise<number>;
  /** Some of a deleted tenant's jobs that nobody has asked to end. */
  openOf(tenantId: string): Promise<JobRef[]>;
  /** Not looked at any more, where nothing is left. */
  markCleared(tenantId: string): Promise<void>;
}

export function createRetentionStore(
  database: Database,
  eventsOf: (db: Queryable) => EventAppender,
): RetentionStore {
  const remove = async (tx: Queryable, uuids: readonly string[]): Promise<number> => {
    if (uuids.length === 0) return 0;
    const gone = await tx.run(RETENTION_REMOVE, [FINAL_STATUSES, uuids]);
    await eventsOf(tx).append(gone.map((row) => jobEvent('job.deleted', row)));
    return gone.length;
  };
  return {
    removeOld: (from = FIRST) =>
      database.transaction(async (tx) => {
        const [row] = await tx.run(RETENTION_DUE, [FINAL_STATUSES, from, TENANTS_MAX, JOBS_MAX]);
        const { last = null, due = [] } = row ?? {};
        const removed = await remove(tx, due);
        // A full batch: these tenants may have more.
        return { removed, next: due.length === JOBS_MAX ? from : (last ?? undefined) };
      }),

    async leaving(after) {
      const rows = await database.run(RETENTION_LEAVING, [
        after === undefined ? FIRST : decodeId('tenant', after),
        TENANTS_MAX,
        [...REMOVABLE, ...OPEN],
      ]);
      return rows.map(({ id }) => encodeId('tenant', id));
    },

    removeOf: (tenantId) =>
      database.transaction(async (tx) => {
        const values = [FINAL_STATUSES, REMOVABLE, decodeId('tenant', tenantId), JOBS_MAX];
        const left = await tx.run(RETENTION_LEFT, values);
        return remove(
          tx,
          left.map(({ id }) => id),
        );
      }),

    async openOf(tenantId) {
      const rows = await database.run(RETENTION_OPEN, [decodeId('tenant', tenantId), OPEN, JOBS_MAX]);
      return rows.map(({ id }) => ({ tenantId, jobId: encodeId('job', id) }));
    },

    markCleared: async (tenantId) =>
      void (await database.run(RETENTION_CLEARED, [decodeId('tenant', tenantId)])),
  };
}
