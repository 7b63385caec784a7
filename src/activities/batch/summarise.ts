/** The summary that a job ends with. A reduce never fails a job, nor keeps it from its end. */
import { Context } from '@temporalio/activity';
import type { JobRef } from '../../domain/batch/job';
import { faultSummary, type Reduce, type Reduced } from '../../domain/batch/reduce';
import { AppError } from '../../domain/errors';
import type { ActivityLog, RunStore } from './ports';

export interface SummariseDeps {
  runs: Pick<RunStore, 'summarise'>;
  log: ActivityLog;
}

/** What failed for want of time, memory or disk is tried once more, since others wanted them too. */
const ATTEMPTS_MAX = 2;
/** A database that goes away each time may do so because of the aggregation. */
const LOST_ATTEMPTS_MAX = 10;

/** @returns JSON text. @throws AppError where another attempt of the activity may do better */
export async function summarise(deps: SummariseDeps, ref: JobRef, reduce: Reduce): Promise<string> {
  const { attempt } = Context.current().info;
  const reduced = await attemptReduce(deps, { ref, reduce, attempt });
  if ('text' in reduced) return reduced.text;
  const { fault, cause } = reduced;
  if ((fault === 'time' || fault === 'resources') && attempt < ATTEMPTS_MAX) {
    throw new AppError('dependency_unavailable', 'The aggregation was cut off.', { cause });
  }
  deps.log.warn({ job_id: ref.jobId, fault, attempt, err: cause }, 'the results could not be aggregated');
  return faultSummary(fault);
}

interface Attempt {
  ref: JobRef;
  reduce: Reduce;
  /** from 1 */
  attempt: number;
}

async function attemptReduce({ runs }: SummariseDeps, { ref, reduce, attempt }: Attempt): Promise<Reduced> {
  try {
    return await runs.summarise(ref, reduce);
  } catch (cause) {
    if (attempt < LOST_ATTEMPTS_MAX) throw cause;
    return { fault: 'resources', cause };
  }
}
