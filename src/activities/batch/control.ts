/** The short activities around the chunks: begin, look, finish. */
import { Context } from '@temporalio/activity';
import { chunkCount } from '../../domain/batch/partition';
import { isFinal, type JobStatus } from '../../domain/batch/status';
import type { BatchControlActivities, BatchPlan } from '../../workflows/batch/ports';
import { toFailure } from '../to-failure';
import type { JobRef } from '../../domain/batch/job';
import type { Finished, RunJob } from '../../domain/batch/run';
import type { ActivityLog, ProgressPublisher, RunStore } from './ports';
import { summarise } from './summarise';

/** A workflow over a job in one of these has something to hand out, or will have. */
const LIVE: readonly JobStatus[] = ['queued', 'running', 'paused', 'cancelling'];
const NOTHING = { succeeded: 0, failed: 0, cancelled: 0 };
const SHORT_WAIT_MS = 1_000;

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
  // Not sealed: whoever started this workflow was wrong, or the rows went back in time. The sweep starts it when it is due.
  if (job === undefined || job.status === 'created') return null;
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

/** All attempts of one item as one bound; longer waits between them are not spent in the chunk. */
function itemMaxMs({ options }: RunJob): number {
  return options.retry.max_attempts * (options.item_timeout_ms + SHORT_WAIT_MS);
}

async function readDesired(
  deps: ControlDeps,
  ref: JobRef,
): ReturnType<BatchControlActivities['batchReadDesired']> {
  // A job that is to run again is set running here: chunks are taken of a running one only.
  await deps.runs.begin(ref);
  const row = await deps.runs.readDesired(ref);
  return row === undefined || !LIVE.includes(row.status) ? 'ended' : row.desired;
}

type FinishArgument = Parameters<BatchControlActivities['batchFinish']>[0];

async function finish(deps: ControlDeps, { outcome, ...ref }: FinishArgument): Promise<Finished> {
  const fixed = await deps.runs.finalize(ref, outcome);
  const job = await deps.runs.find(ref);
  if (fixed === undefined || job === undefined) return { status: 'cancelled', ...NOTHING };
  if (fixed.status !== 'finalizing' && !isFinal(fixed.status)) return { status: fixed.status, ...NOTHING };
  const summary =
    isFinal(fixed.status) || job.reduce === null ? null : await summarise(deps, ref, job.reduce);
  // Subscribers see the last progress before the end.
  if (!isFinal(fixed.status)) await deps.progress.flush(ref);
  const end = await deps.runs.finish(ref, { outcome: fixed.outcome, summary });
  deps.onCommitted();
  deps.log.info({ job_id: ref.jobId, tenant_id: ref.tenantId, ...end }, 'job ended');
  return end;
}
