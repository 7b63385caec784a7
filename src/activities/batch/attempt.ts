/** One attempt at a chunk: what it holds, what may end it, and how it hands back. */
import { Context } from '@temporalio/activity';
import type { HeldChunk, Hold, RunJob } from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import { AppError } from '../../domain/errors';
import type { Handler, HandlerRegistry } from '../../domain/handler/contract';
import type { ChunkArgument, ChunkReturn } from '../../workflows/batch/ports';
import { type ChunkClock, createChunkClock } from './chunk-clock';
import type { Control, ControlWatch } from './control-watch';
import type { Isolation } from './isolation';
import type { ActivityLog, ChunkStore, ProgressPublisher, RunStore } from './ports';
import type { Stop } from './stop';

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

export interface Attempt {
  deps: ChunkDeps;
  held: HeldChunk;
  hold: Hold;
  job: RunJob;
  handler: Handler;
  clock: ChunkClock;
  stop: Stop;
}

export function clockOf({ nowMs }: ChunkArgument): ChunkClock {
  const { scheduledTimestampMs, currentAttemptScheduledTimestampMs } = Context.current().info;
  return createChunkClock({
    handedOverMs: nowMs,
    scheduledMs: scheduledTimestampMs,
    attemptScheduledMs: currentAttemptScheduledTimestampMs,
  });
}

export function reasonFor(status: JobStatus | undefined): 'paused' | 'cancelled' | 'ended' {
  if (status === 'paused' || status === 'queued') return 'paused';
  return status === 'cancelling' ? 'cancelled' : 'ended';
}

/** Ties everything that may end the attempt to its `stop`, and keeps the heartbeat. @returns the end of it */
export function follow({ deps, held, stop }: Attempt): () => void {
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

/** Ends the attempt's hold. @throws AppError `superseded` */
export async function back({ deps, held, stop }: Attempt, done: boolean): Promise<ChunkReturn> {
  if (stop.reason === 'superseded') throw new AppError('superseded', 'A newer attempt holds this chunk.');
  const tally = await deps.chunks.handBack(held, done);
  return { reason: done ? 'done' : (stop.reason ?? 'time_box'), ...tally };
}
