/** One attempt at a chunk: what it holds, what may end it, and how it hands back. */
import { Context } from '@temporalio/activity';
import type { Control, HeldChunk, Hold, RunJob } from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import { wantedState } from '../../domain/batch/wanted';
import { AppError } from '../../domain/errors';
import type { Handler, HandlerRegistry } from '../../domain/handler/contract';
import type { ChunkArgument, ChunkReturn } from '../../workflows/batch/ports';
import { type ChunkClock, createChunkClock } from './chunk-clock';
import type { ControlWatch } from './control-watch';
import { Gate } from './gate';
import type { Isolation } from './isolation';
import { createLaneLimits, type LaneLimits } from './lane-limits';
import type { ActivityLog, ChunkStore, ProgressPublisher, RateStore, RunStore } from './ports';
import { Stop } from './stop';

export interface ChunkDeps {
  chunks: ChunkStore;
  runs: Pick<RunStore, 'begin' | 'find' | 'exceed'>;
  rates: RateStore;
  handlers: HandlerRegistry;
  watch: ControlWatch;
  isolation: Isolation;
  progress: ProgressPublisher;
  log: ActivityLog;
  /** aborted when the worker is told to stop: chunks hand back at once */
  shutdown: AbortSignal;
  /** an attempt begins new items for as long, and for longer where items are slow */
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
  /** one item after the other, each marked before it runs */
  isolated: boolean;
  limits: LaneLimits;
  gate: Gate;
  /** in flight in this attempt */
  inFlight: Set<number>;
  /** failed items that the job bears, as it is now; null: all */
  tolerated: number | null;
}

export type AttemptStart = Pick<Attempt, 'deps' | 'held' | 'hold' | 'job' | 'handler' | 'isolated'>;

export function openAttempt(start: AttemptStart, argument: ChunkArgument): Attempt {
  const stop = new Stop();
  const inFlight = new Set<number>();
  const limits = createLaneLimits(start.job.limits, argument, start.isolated);
  const gate = new Gate({
    stop,
    limits: () => limits.limits,
    inFlight: () => inFlight.size,
    reserve: (items, intervalMs) => start.deps.rates.reserve(start.held, items, intervalMs),
  });
  const { tolerated } = start.job;
  const attempt: Attempt = {
    ...start,
    clock: clockOf(argument),
    stop,
    limits,
    gate,
    inFlight,
    tolerated,
  };
  // The row may say more than that the chunk can be taken.
  obey(start.job, attempt);
  return attempt;
}

function clockOf({ nowMs }: ChunkArgument): ChunkClock {
  const { scheduledTimestampMs, currentAttemptScheduledTimestampMs } = Context.current().info;
  return createChunkClock({
    handedOverMs: nowMs,
    scheduledMs: scheduledTimestampMs,
    attemptScheduledMs: currentAttemptScheduledTimestampMs,
  });
}

export function reasonFor(status: JobStatus | undefined): 'paused' | 'cancelled' | 'ended' | 'time_box' {
  if (status === 'paused' || status === 'queued') return 'paused';
  if (status === 'cancelling') return 'cancelled';
  // It has just begun, after the chunk could not be taken.
  return status === 'running' ? 'time_box' : 'ended';
}

/** Ties everything that may end or change the attempt to it, and keeps the heartbeat. @returns the end of it */
export function follow(attempt: Attempt): () => void {
  const { deps, held, stop } = attempt;
  const context = Context.current();
  const onShutdown = (): void => stop.hard('shutdown');
  // Cancelled by the workflow, or Temporal no longer knows this attempt: both mean that nobody waits for more of it.
  const onCancel = (): void => stop.hard('cancelled');
  deps.shutdown.addEventListener('abort', onShutdown);
  context.cancellationSignal.addEventListener('abort', onCancel);
  if (deps.shutdown.aborted) onShutdown();
  const unwatch = deps.watch.follow(held.jobId, (control) => obey(control, attempt));
  const beat = setInterval(() => context.heartbeat(held.no), deps.heartbeatMs);
  return () => {
    clearInterval(beat);
    unwatch();
    deps.shutdown.removeEventListener('abort', onShutdown);
    context.cancellationSignal.removeEventListener('abort', onCancel);
  };
}

function obey(control: Control, attempt: Attempt): void {
  const { stop, gate, limits } = attempt;
  attempt.tolerated = control.tolerated;
  limits.update(control.limits);
  if (!limits.exists) stop.soft('narrowed');
  gate.stir();
  switch (wantedState(control)) {
    case 'running':
      return gate.release();
    case 'paused':
    case 'waiting':
      return gate.hold();
    case 'cancelled':
      return stop.hard('cancelled');
    case 'exceeded':
      return stop.soft('exceeded');
    case 'ended':
      return stop.soft('ended');
  }
}

/** Ends the attempt's hold. @throws AppError `superseded` */
export async function back({ deps, held, stop, gate }: Attempt, done: boolean): Promise<ChunkReturn> {
  if (stop.reason === 'superseded') throw new AppError('superseded', 'A newer attempt holds this chunk.');
  const tally = await deps.chunks.handBack(held, done);
  const reason = done ? 'done' : (stop.reason ?? 'time_box');
  return reason === 'throttled'
    ? { reason, ...tally, dueInMs: Math.ceil(gate.throttledMs ?? 0) }
    : { reason, ...tally };
}
