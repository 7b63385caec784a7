/** What the sweep looks at: jobs that a workflow should drive, and the partitions that rows will need. */
import type { JobOptions } from '../../domain/batch/job';
import { encodeId } from '../../domain/ids';
import { type Queryable, statement } from './statement';

export interface DrivenJob {
  tenantId: string;
  jobId: string;
  handler: string;
  priority: number;
  /** an operator's wish that the workflow has not seen, or the job is the next of its tenant that may begin */
  unseen: boolean;
}

interface DrivenRow {
  id: string;
  tenant_id: string;
  handler: string;
  options: JobOptions;
  unseen: boolean;
}

/** `skip locked`: several workers sweep at once and share the jobs. Over all tenants, since it acts for none. */
export const SWEEP_CLAIM = statement<DrivenRow>(
  'sweep.claim',
  `update jobs j set checked_at = $1 where j.id in (
     select id from jobs
     where status in ('queued', 'running', 'paused', 'cancelling', 'finalizing')
       and coalesce(checked_at, queued_at) < $2
     order by coalesce(checked_at, queued_at) limit $3 for update skip locked
   ) returning j.id, j.tenant_id, j.handler, j.options,
     j.seen_version < j.desired_version or (j.status = 'queued' and j.id = (
       select q.id from jobs q where q.tenant_id = j.tenant_id and q.status = 'queued' and q.desired = 'running'
       order by (q.options ->> 'priority')::smallint, q.id limit 1
     )) as unseen`,
);

export const SWEEP_PARTITIONS = statement<{ made: number }>(
  'sweep.partitions',
  `select ensure_partitions($1, 5) as made`,
);

export interface SweepStore {
  /** Jobs not looked after since `before`, marked as looked after at `now`. */
  claimDriven(now: Date, before: Date, limit: number): Promise<DrivenJob[]>;
  /** @returns how many partitions were made */
  ensurePartitions(now: Date): Promise<number>;
}

export function createSweepStore(db: Queryable): SweepStore {
  return {
    async claimDriven(now, before, limit) {
      const rows = await db.run(SWEEP_CLAIM, [now, before, limit]);
      return rows.map((row) => ({
        tenantId: encodeId('tenant', row.tenant_id),
        jobId: encodeId('job', row.id),
        handler: row.handler,
        priority: row.options.priority,
        unseen: row.unseen,
      }));
    },
    ensurePartitions: async (now) => (await db.run(SWEEP_PARTITIONS, [now]))[0]?.made ?? 0,
  };
}
