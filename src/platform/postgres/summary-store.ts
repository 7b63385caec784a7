/** The summary of a job's results: the final one from the row, a partial one computed while the job runs. */
import {
  faultSummary,
  type JobSummary,
  type Reduce,
  type Reduced,
  type ReduceFault,
} from '../../domain/batch/reduce';
import { AppError, isAppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { reduceQuery } from './reduce-sql';
import { type Database, type Queryable, statement } from './statement';

/** As text: parsed, a sum would lose its digits. */
export const SUMMARY_FIND = statement<{ reduce: Reduce | null; summary: string | null; ended: boolean }>(
  'summary.find',
  `select reduce, summary::text as summary, ended_at is not null as ended from jobs where tenant_id = $1 and id = $2`,
);

const FINAL_TIMEOUT_MS = 10 * 60_000;

export const SUMMARY_TIME_LIMIT = statement<{ set_config: string }>(
  'summary.time_limit',
  `select set_config('statement_timeout', $1, true)`,
);

export interface SummaryStore {
  /** A partial one that can't be had, or takes longer than any statement may, says so in its `error`. @throws `not_found` */
  read(ref: { tenantId: string; jobId: string }): Promise<JobSummary>;
}

export function createSummaryStore(db: Queryable): SummaryStore {
  return {
    async read({ tenantId, jobId }) {
      const jobUuid = decodeId('job', jobId);
      const [row] = await db.run(SUMMARY_FIND, [decodeId('tenant', tenantId), jobUuid]);
      if (row === undefined) throw new AppError('not_found', 'There is no job with this id.');
      if (row.ended || row.reduce === null) return { partial: !row.ended, text: row.summary };
      const query = reduceQuery(jobUuid, row.reduce);
      const reduced = await reducedBy(() => db.run(query.statement, query.values));
      return { partial: true, text: 'text' in reduced ? reduced.text : faultSummary(reduced.fault) };
    },
  };
}

export interface FinalSummary {
  jobId: string;
  reduce: Reduce;
  timeoutMs?: number;
}

/** The final summary. Computed once, when no result can come any more. */
export async function computeSummary(db: Database, wish: FinalSummary): Promise<Reduced> {
  const { jobId, reduce, timeoutMs = FINAL_TIMEOUT_MS } = wish;
  const query = reduceQuery(decodeId('job', jobId), reduce);
  return reducedBy(() =>
    db.transaction(async (tx) => {
      await tx.run(SUMMARY_TIME_LIMIT, [String(timeoutMs)]);
      return tx.run({ ...query.statement, timeoutMs }, query.values);
    }),
  );
}

/** @throws what is no fault of the aggregation, such as a connection that is lost */
async function reducedBy(run: () => Promise<{ summary: string | null }[]>): Promise<Reduced> {
  try {
    const summary = (await run())[0]?.summary ?? null;
    return summary === null ? { fault: 'size' } : { text: summary };
  } catch (cause) {
    const fault = faultOf(cause);
    if (fault === undefined) throw cause;
    return { fault, cause };
  }
}

/** By SQLSTATE: https://www.postgresql.org/docs/18/errcodes-appendix.html */
function faultOf(error: unknown): ReduceFault | undefined {
  const origin = isAppError(error) ? error.cause : error;
  if (!(origin instanceof Error) || !('code' in origin)) return undefined;
  const code = String(origin.code);
  if (code.startsWith('22')) return 'data';
  if (code.startsWith('54') || /invalid memory alloc request size/.test(origin.message)) return 'size';
  if (code === '57014') return 'time';
  // 53300, too many connections, is met before the aggregation has begun.
  return code.startsWith('53') && code !== '53300' ? 'resources' : undefined;
}
