/** The short activities around the chunks: begin, look, finish. */
import { Context } from '@temporalio/activity';
import { chunkCount } from '../../domain/batch/partition';
import { isFinal } from '../../domain/batch/status';
import type { Reduce } from '../../domain/batch/reduce';
import type { BatchControlActivities, BatchPlan } from '../../workflows/batch/ports';
import { toFailure } from '../to-failure';
import type { JobRef } from '../../domain/batch/job';
import type { Finished, RunJob } from '../../domain/batch/run';
import type { ActivityLog, ProgressPublisher, RunStore } from './ports';

export interface ControlDeps {
  runs: RunStore;
  progress: ProgressPublisher;
  log: ActivityLog;
  /** the row has changed and wrote an event: wake the relay */
  onCommitted(): void;
  heartbeatMs: number;
}

export function createBatchControl(deps: ControlDeps): BatchControlActivities {
  return {
    batchBegin: (ref) => failing(() => begin(deps, ref)),
    batchReadDesired: (ref) => failing(() => readDesired(deps, ref)),
    batchFinish: (argument) => failing(() => beating(deps, () => finish(deps, argument))),
  };
}

async function failing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFailure(error);
  }
}

async function beating<T>(deps: ControlDeps, work: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const beat = setInterval(() => context.heartbeat(), deps.heartbeatMs);
  try {
    return await work();
  } finally {
    clearInterval(beat);
  }
}

async function begin(deps: ControlDeps, ref: JobRef): Promise<BatchPlan | null> {
  const job = await deps.runs.begin(ref);
  if (job === undefined) return null;
  deps.onCommitted();
  const done = await deps.runs.doneChunks(ref, chunkCount(job.total, job.chunkItems));
  return {
    status: job.status,
    desired: job.desired,
    handler: job.handler,
    total: job.total,
    chunkItems: job.chunkItems,
    windowChunks: job.windowChunks,
    firstOpenChunk: done.firstOpen,
    succeeded: done.succeeded,
    failed: done.failed,
    itemMaxMs: itemMaxMs(job),
  };
}

/** All attempts of one item with the waits between them, as one bound. */
function itemMaxMs({ options }: RunJob): number {
  const { max_attempts, max_interval_ms } = options.retry;
  return max_attempts * options.item_timeout_ms + (max_attempts - 1) * max_interval_ms;
}

async function readDesired(
  deps: ControlDeps,
  ref: JobRef,
): ReturnType<BatchControlActivities['batchReadDesired']> {
  const row = await deps.runs.readDesired(ref);
  if (row === undefined || row.status === 'finalizing' || isFinal(row.status)) return 'ended';
  return row.desired;
}

type FinishArgument = Parameters<BatchControlActivities['batchFinish']>[0];

async function finish(deps: ControlDeps, { outcome, ...ref }: FinishArgument): Promise<Finished> {
  const fixed = await deps.runs.finalize(ref, outcome);
  const job = await deps.runs.find(ref);
  if (fixed === undefined || job === undefined)
    return { status: 'cancelled', succeeded: 0, failed: 0, cancelled: 0 };
  const summary =
    isFinal(fixed.status) || job.reduce === null ? null : await summarise(deps, ref, job.reduce);
  // Subscribers see the last progress before the end.
  if (!isFinal(fixed.status)) await deps.progress.flush(ref);
  const end = await deps.runs.finish(ref, { outcome: fixed.outcome, summary });
  deps.onCommitted();
  deps.log.info({ job_id: ref.jobId, tenant_id: ref.tenantId, ...end }, 'job ended');
  return end;
}

/** A reduce never fails a job: where its data can't be aggregated, the summary says so instead. */
async function summarise(deps: ControlDeps, ref: JobRef, reduce: Reduce): Promise<string | null> {
  try {
    return await deps.runs.summarise(ref, reduce);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!/^(22|54)/.test(code)) throw error;
    deps.log.warn({ job_id: ref.jobId, code }, 'the results could not be aggregated');
    return JSON.stringify({
      groups: [],
      skipped: {},
      groups_omitted: 0,
      error: 'The results could not be aggregated.',
    });
  }
}
