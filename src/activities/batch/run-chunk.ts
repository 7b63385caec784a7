/** Runs the items of a held chunk through their handler and writes as it goes. */
import { chunkRange } from '../../domain/batch/partition';
import { CHUNK_BOX_MAX_MS, CLEAN_ITEMS_MIN } from '../../domain/batch/run';
import { AppError, isAppError } from '../../domain/errors';
import type { ItemOutcome } from '../../domain/handler/contract';
import type { ChunkReturn } from '../../workflows/batch/ports';
import { type Attempt, back } from './attempt';
import type { ChunkClock } from './chunk-clock';
import { createItemSource, type ItemSource } from './item-source';
import { ResultWriter } from './result-writer';
import type { Stop } from './stop';
import { openTimeBox } from './time-box';

/** Items that fall due this soon are taken along. */
const DUE_SLACK_MS = 1_000;
const WRITE_AGAIN_MS = [250, 500, 1_000, 2_000, 4_000];

export async function runChunk(attempt: Attempt): Promise<ChunkReturn> {
  const { deps, held, job, clock, stop, gate, isolated } = attempt;
  /** handed out and without an outcome */
  const open = new Set<number>();
  const { writer, check } = openWriter(attempt);
  const source = createItemSource({
    chunks: deps.chunks,
    ref: held,
    upload: job.upload,
    fresh: attempt.hold.epoch === 1,
    due: new Date(clock.nowMs() + DUE_SLACK_MS),
    range: chunkRange(held.no, job.chunkItems, job.total),
    writer,
    mayStart: () => stop.reason === undefined,
    gate,
    onHandOut: (index) => open.add(index),
    ...(isolated && { before: (index: number) => beforeAlone({ attempt, writer, index }) }),
  });
  try {
    await runItems({ attempt, source, writer, open });
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

interface ItemRun {
  attempt: Attempt;
  source: ItemSource;
  writer: ResultWriter;
  open: Set<number>;
}

async function runItems({ attempt, source, writer, open }: ItemRun): Promise<void> {
  const { deps, held, job, clock, stop, gate, inFlight, isolated } = attempt;
  let clean = attempt.hold.clean_items;
  const box = openTimeBox({
    minMs: deps.timeBoxMs,
    maxMs: CHUNK_BOX_MAX_MS,
    onEnd: () => stop.soft('time_box'),
  });
  try {
    await attempt.handler.runItems(source, {
      tenantId: held.tenantId,
      jobId: held.jobId,
      params: job.params,
      options: job.options,
      concurrency: attempt.limits,
      oneByOne: isolated,
      signal: stop.signal,
      log: deps.log,
      mayStart: () => stop.reason === undefined,
      admit: () => gate.passAgain(),
      onStart: (item) => inFlight.add(item.index),
      onOutcome(outcome) {
        inFlight.delete(outcome.index);
        open.delete(outcome.index);
        gate.stir();
        box.note(outcome.durationMs);
        if (isolated && ++clean >= CLEAN_ITEMS_MIN) stop.soft('time_box');
        writer.add(withDueAt(outcome, clock));
      },
    });
  } finally {
    box.close();
  }
}

/** `check` throws what a write failed with. */
function openWriter(attempt: Attempt): { writer: ResultWriter; check(): void } {
  const { deps, held, stop, inFlight, limits } = attempt;
  let failure: Error | undefined;
  const writer = new ResultWriter({
    write: async (outcomes, running) => {
      await insist(stop, () => deps.chunks.write(held, outcomes, running));
      await checkTolerance(attempt, outcomes);
    },
    // A handler may begin a group of items that it then works through one by one.
    running: () => Math.min(inFlight.size, limits.now()),
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

/**
 * What was worked for is not thrown away because the database is away for a moment: the fence makes writing again safe, and
 * an item that was written after all keeps its result.
 */
async function insist(stop: Stop, write: () => Promise<void>): Promise<void> {
  for (const delayMs of WRITE_AGAIN_MS) {
    try {
      return await write();
    } catch (error) {
      if (!isAppError(error) || error.code !== 'dependency_unavailable' || stop.reason === 'shutdown')
        throw error;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
  return write();
}

/** By the rows of all chunks: others may have seen failures too. */
async function checkTolerance(
  { deps, held, tolerated, stop }: Attempt,
  outcomes: readonly ItemOutcome[],
): Promise<void> {
  if (tolerated === null || !outcomes.some(({ status }) => status === 'failed')) return;
  if (await deps.runs.exceed(held, tolerated)) stop.soft('exceeded');
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
