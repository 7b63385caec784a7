/** Runs the items of a held chunk through their handler and writes as it goes. */
import { chunkRange, concurrencyShare } from '../../domain/batch/partition';
import { CLEAN_ITEMS_MIN } from '../../domain/batch/run';
import { AppError, isAppError } from '../../domain/errors';
import type { ItemOutcome } from '../../domain/handler/contract';
import type { ChunkReturn } from '../../workflows/batch/ports';
import { type Attempt, back } from './attempt';
import type { ChunkClock } from './chunk-clock';
import { createItemSource } from './item-source';
import { ResultWriter } from './result-writer';

/** Items that fall due this soon are taken along. */
const DUE_SLACK_MS = 1_000;

/** @param isolated one item after the other, each marked before it runs */
export async function runChunk(attempt: Attempt, isolated: boolean): Promise<ChunkReturn> {
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
