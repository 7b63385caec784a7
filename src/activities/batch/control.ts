/** The short activities around the chunks: begin, look, finish. */
import { Context } from '@temporalio/activity';
import { encodeDone } from '../../domain/batch/done-map';
import { chunkCount, laneCount } from '../../domain/batch/partition';
import { isFinal } from '../../domain/batch/status';
import { wantedState } from '../../domain/batch/wanted';
import { AppError } from '../../domain/errors';
import type { HandlerRegistry } from '../../domain/handler/contract';
import { itemMaxMs } from '../../domain/handler/retry';
import type { BatchControlActivities, BatchPlan, Wanted } from '../../workflows/batch/ports';
import { toFailure, toRetryableFailure } from '../to-failure';
import type { JobRef } from '../../domain/batch/job';
import type { Finished, RunJob } from '../../domain/batch/run';
import type { ActivityLog, ProgressPublisher, RunStore } from './ports';
import { summarise } from './summarise';

const UNKNOWN_HANDLER_MS = 5_000;
const NOTHING = { succeeded: 0, failed: 0, cancelled: 0 };

export interface ControlDeps {
  runs: RunStore;
  progress: ProgressPublisher;
  log: ActivityLog;
  handlers: Pick<HandlerRegistry, 'get'>;
  now(): Date;
  /** Tells the workflow of a job to look at its row; never throws. */
  wake(ref: JobRef): Promise<void>;
  /** the row has changed and wrote an event: wake the relay */
  onCommitted(): void;
  heartbeatMs: number;
}

export function createBatchControl(deps: ControlDeps): BatchControlActivities {
  return {
    batchBegin: (ref) => failing(() => beating(deps, () => begin(deps, ref))),
    batchReadDesired: (ref) => failing(() => readDesired(deps, ref)),
    batchExpire: (ref) => failing(() => expire(deps, ref)),
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
  const handler = deps.handlers.get(job.handler);
  // A worker that is older than the handler can't tell how its chunks are to be handed out; another one may.
  if (handler === undefined && wantedState(job) === 'running') {
    const error = new AppError(
      'unknown_handler',
      `This worker has no handler ${JSON.stringify(job.handler)}.`,
    );
    throw toRetryableFailure(error, UNKNOWN_HANDLER_MS);
  }
  const done = await deps.runs.doneChunks(ref, chunkCount(job.total, job.chunkItems));
  return {
    status: job.status,
    wanted: toWanted(deps, job),
    handler: job.handler,
    remote: handler?.remote === true,
    total: job.total,
    chunkItems: job.chunkItems,
    firstOpenChunk: done.firstOpen,
    doneAfter: encodeDone(done.doneAfter),
    succeeded: done.succeeded,
    failed: done.failed,
    itemMaxMs: itemMaxMs(job.options),
  };
}

function toWanted({ now }: Pick<ControlDeps, 'now'>, job: RunJob): Wanted {
  const { limits, expiresAt } = job;
  return {
    state: wantedState(job),
    lanes: laneCount(limits),
    expiresInMs: expiresAt === null ? null : Math.max(0, expiresAt.getTime() - now().getTime()),
  };
}

const GONE: Wanted = { state: 'ended', lanes: 0, expiresInMs: null };

async function readDesired(deps: ControlDeps, ref: JobRef): Promise<Wanted> {
  // A job that is to run again is set running here: chunks are taken of a running one only.
  const before = await deps.runs.begin(ref);
  if (before === undefined) return GONE;
  // A new limit may be one that the job is beyond already.
  if (before.tolerated !== null) await deps.runs.exceed(ref, before.tolerated);
  const job = await deps.runs.look(ref);
  deps.onCommitted();
  if (job === undefined) return GONE;
  // Where one found a seat there may be another; where one gave its own up there is.
  if (job.status !== 'queued') await wakeNext(deps, ref.tenantId);
  return toWanted(deps, job);
}

async function expire(deps: ControlDeps, ref: JobRef): Promise<Wanted> {
  await deps.runs.expire(ref);
  const job = await deps.runs.look(ref);
  return job === undefined ? GONE : toWanted(deps, job);
}

/** Only makes it faster: the sweep wakes who is next, too. */
async function wakeNext(deps: ControlDeps, tenantId: string): Promise<void> {
  const next = await deps.runs.nextWaiting(tenantId);
  if (next !== undefined) await deps.wake(next);
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
  await wakeNext(deps, ref.tenantId);
  return end;
}
