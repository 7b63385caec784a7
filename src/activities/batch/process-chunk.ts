/**
 * One attempt at a chunk: take the fence, run what has no result yet, write as it goes, hand back and say why.
 *
 *   take -> (isolated: wait for the turn) -> run until done or stopped -> flush -> hand back
 *
 * It stops early for the time box, a pause, a cancel, a shutdown, or a newer attempt that holds the fence.
 */
import { Context } from '@temporalio/activity';
import { AppError, isAppError } from '../../domain/errors';
import { chunkRange, concurrencyShare } from '../../domain/batch/partition';
import {
  CRASHES_MAX,
  type HeldChunk,
  type Hold,
  LOST_ATTEMPTS_MAX,
  type RunJob,
} from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import type { Handler, HandlerRegistry } from '../../domain/handler/contract';
import type { ChunkArgument, ChunkReturn } from '../../workflows/batch/ports';
import { toRetryableFailure } from '../to-failure';
import type { Control, ControlWatch } from './control-watch';
import type { Isolation } from './isolation';
import { createItemSource } from './item-source';
import type { ActivityLog, ChunkStore, ProgressPublisher, RunStore } from './ports';
import { ResultWriter } from './result-writer';
import { Stop } from './stop';

const RETRY_DELAY_MS = 5_000;

export interface ChunkDeps {
  chunks: ChunkStore;
  runs: Pick<RunStore, 'find'>;
  handlers: HandlerRegistry;
  watch: ControlWatch;
  isolation: Isolation;
  progress: ProgressPublisher;
  log: ActivityLog;
  /** aborted when the worker is told to stop: chunks hand back at once */
  shutdown: AbortSignal;
  timeBoxMs: number;
  heartbeatMs: number;
}

export function createProcessChunk(deps: ChunkDeps): (argument: ChunkArgument) => Promise<ChunkReturn> {
  return async (argument) => {
    try {
      return await takeAndRun(deps, argument);
    } catch (error) {
      throw toRetryableFailure(error, RETRY_DELAY_MS);
    }
  };
}

async function takeAndRun(deps: ChunkDeps, argument: ChunkArgument): Promise<ChunkReturn> {
  const hold = await deps.chunks.take(argument);
  if (hold === undefined || 'status' in hold) {
    return { reason: reasonFor(hold?.status), succeeded: 0, failed: 0 };
  }
  if (hold.done) return { reason: 'done', succeeded: hold.succeeded, failed: hold.failed };
  const held: HeldChunk = { ...argument, epoch: hold.epoch };
  const job = await deps.runs.find(argument);
  const handler = job === undefined ? undefined : deps.handlers.get(job.handler);
  if (job === undefined || handler === undefined) {
    await deps.chunks.handBack(held, false);
    throw new AppError(
      'unknown_handler',
      `This worker has no handler ${JSON.stringify(job?.handler ?? null)}.`,
    );
  }
  const attempt: Attempt = { deps, held, hold, job, handler, stop: new Stop() };
  const unfollow = follow(attempt);
  try {
    return hold.lost_attempts >= LOST_ATTEMPTS_MAX
      ? await deps.isolation.turn(
          attempt.stop.signal,
          () => run(attempt, true),
          () => back(attempt, false),
        )
      : await run(attempt, false);
  } catch (error) {
    // An attempt that says that it ends is not a lost one; where even this fails, it will look like one.
    await deps.chunks.handBack(held, false).catch(() => undefined);
    throw error;
  } finally {
    unfollow();
  }
}

interface Attempt {
  deps: ChunkDeps;
  held: HeldChunk;
  hold: Hold;
  job: RunJob;
  handler: Handler;
  stop: Stop;
}

function reasonFor(status: JobStatus | undefined): 'paused' | 'cancelled' | 'ended' {
  if (status === 'paused' || status === 'queued') return 'paused';
  return status === 'cancelling' ? 'cancelled' : 'ended';
}

/** Ties everything that may end the attempt to its `stop`, and keeps the heartbeat. @returns the end of it */
function follow({ deps, held, stop }: Attempt): () => void {
  const context = Context.current();
  const onShutdown = (): void => stop.hard('shutdown');
  // Cancelled by the workflow, or Temporal no longer knows this attempt: both mean that nobody waits for more of it.
  const onCancel = (): void => stop.hard('cancelled');
  deps.shutdown.addEventListener('abort', onShutdown);
  context.cancellationSignal.addEventListener('abort', onCancel);
  if (deps.shutdown.aborted) onShutdown();
  const unwatch = deps.watch.follow(held.jobId, (control) => obey(control, stop));
  const box = setTimeout(() => stop.soft('time_box'), deps.timeBoxMs);
  const beat = setInterval(() => context.heartbeat(held.no), deps.heartbeatMs);
  return () => {
    clearInterval(beat);
    clearTimeout(box);
    unwatch();
    deps.shutdown.removeEventListener('abort', onShutdown);
    context.cancellationSignal.removeEventListener('abort', onCancel);
  };
}

function obey({ status, desired }: Control, stop: Stop): void {
  if (desired === 'cancelled' || status === 'cancelling') stop.hard('cancelled');
  else if (status !== 'running') stop.soft(reasonFor(status));
  else if (desired === 'paused') stop.soft('paused');
}

async function run(attempt: Attempt, isolated: boolean): Promise<ChunkReturn> {
  const { deps, held, job, stop } = attempt;
  const inFlight = new Set<number>();
  let ended = 0;
  let failure: Error | undefined;
  const writer = new ResultWriter({
    write: (outcomes, running) => deps.chunks.write(held, outcomes, running),
    running: () => inFlight.size,
    onWritten: () => deps.progress.touch(held),
    onError(error) {
      failure = error instanceof Error ? error : new Error(String(error));
      stop.hard(isAppError(error) && error.code === 'superseded' ? 'superseded' : 'shutdown');
    },
    intervalMs: 250,
  });
  if (isolated) await giveUpCrashed(attempt);
  const source = createItemSource({
    chunks: deps.chunks,
    ref: held,
    upload: job.upload,
    range: chunkRange(held.no, job.chunkItems, job.total),
    room: () => writer.room(),
    ...(isolated && { before: (index: number) => beforeAlone({ attempt, writer, index }) }),
  });
  try {
    await attempt.handler.runItems(source.items(), {
      tenantId: held.tenantId,
      jobId: held.jobId,
      params: job.params,
      options: job.options,
      concurrency: isolated ? 1 : concurrencyShare(job.options.max_concurrency, job.windowChunks),
      oneByOne: isolated,
      signal: stop.signal,
      log: deps.log,
      mayStart: () => stop.reason === undefined,
      onStart: (item) => inFlight.add(item.index),
      onOutcome(outcome) {
        inFlight.delete(outcome.index);
        ended++;
        writer.add(outcome);
      },
    });
    await writer.flush();
  } finally {
    writer.close();
  }
  if (failure !== undefined) throw failure;
  return back(attempt, source.exhausted() && ended === source.handedOut());
}

/** The one before is written and this one is marked, so that a crash can only be this one's. */
async function beforeAlone({ attempt, writer, index }: AloneStep): Promise<void> {
  await writer.flush();
  await attempt.deps.chunks.mark(attempt.held, index);
}

interface AloneStep {
  attempt: Attempt;
  writer: ResultWriter;
  index: number;
}

async function giveUpCrashed({ deps, held, hold }: Attempt): Promise<void> {
  if (hold.marked_index === null || hold.marked_crashes < CRASHES_MAX) return;
  deps.log.error(
    { job_id: held.jobId, index: hold.marked_index },
    'an item ended the process twice and is given up',
  );
  const message = `The process ended ${hold.marked_crashes} times while this item ran alone.`;
  const error = { code: 'handler_crashed', message };
  const outcome = { index: hold.marked_index, status: 'failed', output: null, error } as const;
  await deps.chunks.write(held, [{ ...outcome, attempts: hold.marked_crashes, durationMs: 0 }], 0);
}

async function back({ deps, held, stop }: Attempt, done: boolean): Promise<ChunkReturn> {
  if (stop.reason === 'superseded') throw new AppError('superseded', 'A newer attempt holds this chunk.');
  const tally = await deps.chunks.handBack(held, done);
  return { reason: done ? 'done' : (stop.reason ?? 'time_box'), ...tally };
}
