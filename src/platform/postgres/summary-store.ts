/** The summary of a job's results: the final one from the row, a partial one computed while the job runs. */
import type { Reduce, Summary } from '../../domain/batch/reduce';
import { decodeId } from '../../domain/ids';
import { reduceQuery } from './reduce-sql';
import { type Database, type Queryable, statement } from './statement';

export const SUMMARY_FIND = statement<{ reduce: Reduce | null; summary: Summary | null; ended: boolean }>(
  'summary.find',
  `select reduce, summary, ended_at is not null as ended from jobs where tenant_id = $1 and id = $2`,
);

export const SUMMARY_TIME_LIMIT = statement('summary.time_limit', `set local statement_timeout = '25min'`);

export interface SummaryStore {
  /** Null where the job has no `reduce`, or is not the tenant's. */
  read(ref: { tenantId: string; jobId: string }): Promise<Summary | null>;
}

export function createSummaryStore(db: Queryable): SummaryStore {
  return {
    async read({ tenantId, jobId }) {
      const jobUuid = decodeId('job', jobId);
      const [row] = await db.run(SUMMARY_FIND, [decodeId('tenant', tenantId), jobUuid]);
      if (row === undefined || row.reduce === null) return null;
      if (row.ended) return row.summary;
      const query = reduceQuery(jobUuid, row.reduce);
      const [computed] = await db.run(query.statement, query.values);
      return computed === undefined ? null : (JSON.parse(computed.summary) as Summary);
    },
  };
}

/** JSON text of the final summary. Computed once, when no result can come any more. */
export async function computeSummary(db: Database, jobId: string, reduce: Reduce): Promise<string | null> {
  const query = reduceQuery(decodeId('job', jobId), reduce);
  return db.transaction(async (tx) => {
    await tx.run(SUMMARY_TIME_LIMIT);
    const [computed] = await tx.run(query.statement, query.values);
    return computed?.summary ?? null;
  });
}
