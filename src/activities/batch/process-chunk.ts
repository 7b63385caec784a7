/**
 * One attempt at a chunk: take the fence, run what has no result yet, write as it goes, hand back and say why.
 *
 *   take -> get a turn in this process -> run until done or stopped -> flush -> hand back
 *
 * It stops early for the time box, a pause, a cancel, a shutdown, a suspect that needs the process to itself, or a newer
 * attempt that holds the fence.
 */
import { Context } from '@temporalio/activity';
import { AppError, isAppError } from '../../domain/errors';
import { chunkRange, concurrencyShare } from '../../domain/batch/partition';
import {
  CLEAN_ITEMS_MIN,
  type HeldChunk,
  type Hold,
  LOST_ATTEMPTS_MAX,
  type RunJob,
} from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import type { Handler, HandlerRegistry, ItemOutcome } from '../../domain/handler/contract';
import type { ChunkArgument, ChunkReturn } from '../../workflows/batch/ports';
import { wait } from '../handlers/attempt';
import { toRetryableFailure } from '../to-failure';
import { type ChunkClock, createChunkClock } from './chunk-clock';
import type { Control, ControlWatch } from './control-watch';
import type { Isolation } from './isolation';
import { createItemSource } from './item-source';
import type { ActivityLog, ChunkStore, ProgressPublisher, RunStore } from './ports';
import { ResultWriter } from './result-writer';
import { Stop } from './stop';
import { giveUpSuspect, unmark } from './suspect';

const RETRY_DELAY_MS = 5_000;
/** As far apart as two chunks of a lost worker come again: heartbeats are told to Temporal every 2 s. */
const GIVE_WAY_MS = 2_000;
/** Items that fall due this soon are taken along. */
const DUE_SLACK_MS = 1_000;

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
      const delaySeconds = isAppError(error) ? error.retryAfterSeconds : undefined;
      throw toRetryableFailure(error, delaySeconds === undefined ? RETRY_DELAY_MS : delaySeconds * 1_000);
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
  const attempt: Attempt = { deps, held, hold, job, handler, clock: clockOf(argument), stop: new Stop() };
  const unfollow = follow(attempt);
  try {
    return await runInTurn(attempt);
  } catch (error) {
    // An attempt that says that it ends is not a lost one; where even this fails, it will look like one.
    await deps.chunks.handBack(held, false).catch(() => undefined);
    throw error;
  } finally {
    unfollow();
  }
}

/** Beside other attempts, or, where the chunk is under suspicion, with nothing else at work in this process. */
async function runInTurn(attempt: Attempt): Promise<ChunkReturn> {
  const { deps, hold, stop } = attempt;
  const gaveUp = await giveUpSuspect(attempt);
  const isolated = !gaveUp && hold.lost_attempts >= LOST_ATTEMPTS_MAX;
  // Whoever was at work at a crash comes again at about the same time. The suspects go first: else the one that ends the
  // process could be there before them again and again.
  if (!isolated && hold.lost_attempts > 0) await wait(GIVE_WAY_MS, stop.signal);
  const endTurn = isolated
    ? await deps.isolation.alone(stop.signal)
    : deps.isolation.share(() => stop.soft('time_box'));
  if (endTurn === undefined) {
    if (stop.reason !== undefined) return back(attempt, false);
    throw new AppError('not_its_turn', 'The chunk waits for its turn in this worker.', {
      retryAfterSeconds: 1,
    });
  }
  try {
    return await run(attempt, isolated);
  } catch (error) {
    if (isolated) await unmark(attempt);
    throw error;
  } finally {
    endTurn();
  }
}

interface Attempt {
  deps: ChunkDeps;
  held: HeldChunk;
  hold: Hold;
  job: RunJob;
  handler: Handler;
  clock: ChunkClock;
  stop: Stop;
}

function clockOf({ nowMs }: ChunkArgument): ChunkClock {
  const { scheduledTimestampMs, currentAttemptScheduledTimestampMs } = Context.current().info;
  return createChunkClock({
    handedOverMs: nowMs,
    scheduledMs: scheduledTimestampMs,
    attemptScheduledMs: currentAttemptScheduledTimestampMs,
  });
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
  const { deps, held, job, clock, stop } = attempt;
  const concurrency = isolated ? 1 : concurrencyShare(job.options.max_concurrency, job.windowChunks);
  const inFlight = new Set<number>();
  /** handed out and without an outcome */
  const open = new Set<number>();
  let clean = attempt.hold.clean_items;
  // A handler may begin a group of items that it then works through one by one.
  const { writer, check } = openWriter(attempt, () => Math.min(inFlight.size, concurrency));
  const source = createItemSource({
    chunks: deps.chunks,
    ref: held,
    upload: job.upload,
    due: new Date(clock.nowMs() + DUE_SLACK_MS),
    range: chunkRange(held.no, job.chunkItems, job.total),
    writer,
    mayStart: () => stop.reason === undefined,
    onHandOut: (index) => open.add(index),
    ...(isolated && { before: (index: number) => beforeAlone({ attempt, writer, index }) }),
  });
  try {
    await attempt.handler.runItems(source.items(), {
      tenantId: held.tenantId,
      jobId: held.jobId,
      params: job.params,
      options: job.options,
      concurrency,
      oneByOne: isolated,
      signal: stop.signal,
      log: deps.log,
      mayStart: () => stop.reason === undefined,
      onStart: (item) => inFlight.add(item.index),
      onOutcome(outcome) {
        inFlight.delete(outcome.index);
        open.delete(outcome.index);
        if (isolated && ++clean >= CLEAN_ITEMS_MIN) stop.soft('time_box');
        writer.add(withDueAt(outcome, clock));
      },
    });
    if (stop.reason === undefined) {
      for (const index of open) writer.add(leftOut(index));
      open.clear();
    }
    await writer.flush();
  } finally {
    writer.close();
  }
  check();
  if (stop.reason === undefined && !source.exhausted())
    throw new AppError('internal', `Handler ${job.handler} ended before its items did.`);
  return end(attempt, source.exhausted() && open.size === 0);
}

/** `check` throws what a write failed with. */
function openWriter(
  { deps, held, stop }: Attempt,
  running: () => number,
): { writer: ResultWriter; check(): void } {
  let failure: Error | undefined;
  const writer = new ResultWriter({
    write: (outcomes, inFlight) => deps.chunks.write(held, outcomes, inFlight),
    running,
    onWritten: () => deps.progress.touch(held),
    onError(error) {
      failure = error instanceof Error ? error : new Error(String(error));
      stop.hard(isAppError(error) && error.code === 'superseded' ? 'superseded' : 'shutdown');
    },
    intervalMs: 250,
  });
  return {
    writer,
    check() {
      if (failure !== undefined) throw failure;
    },
  };
}

function withDueAt(outcome: ItemOutcome, clock: ChunkClock): ItemOutcome {
  const { delayMs } = outcome;
  return delayMs === undefined ? outcome : { ...outcome, dueAt: new Date(clock.nowMs() + delayMs) };
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

/** Nothing stopped the handler and yet it says nothing of this item; it would never say anything of it. */
function leftOut(index: number): ItemOutcome {
  const error = { code: 'handler_failed', message: 'The handler ended without an outcome for this item.' };
  return { index, status: 'failed', output: null, error, attempts: 1, durationMs: 0 };
}

/** Every item that could be run has ended: the chunk is done, or what is left waits for another attempt. */
async function end(attempt: Attempt, ranAll: boolean): Promise<ChunkReturn> {
  const { deps, held, job, clock } = attempt;
  if (!ranAll) return back(attempt, false);
  const due = await deps.chunks.nextDue(held, chunkRange(held.no, job.chunkItems, job.total));
  if (due === null) return back(attempt, true);
  const { reason, ...tally } = await back(attempt, false);
  // A stop that came meanwhile goes first: the workflow has to look at the row anyway.
  if (reason !== 'time_box') return { reason, ...tally };
  return { ...tally, reason: 'deferred', dueInMs: Math.max(0, Math.ceil(due.getTime() - clock.nowMs())) };
}

async function back({ deps, held, stop }: Attempt, done: boolean): Promise<ChunkReturn> {
  if (stop.reason === 'superseded') throw new AppError('superseded', 'A newer attempt holds this chunk.');
  const tally = await deps.chunks.handBack(held, done);
  return { reason: done ? 'done' : (stop.reason ?? 'time_box'), ...tally };
}
