/** The lanes of chunk activities: what is handed out, when it waits, and how it ends. */
import { CancellationScope, condition, isCancellation, sleep } from '@temporalio/workflow';
import type { JobRef } from '../../domain/batch/job';
import type { JobStatus, Outcome } from '../../domain/batch/status';
import type { WantedState } from '../../domain/batch/wanted';
import { createChunkActivity } from './chunk-activity';
import type { ChunkLedger, Turn } from './ledger';
import type { BatchControlActivities, BatchPlan, ChunkReturn, Wanted } from './ports';

/** Waiting items of a chunk fall due in waves; handing it out for each one by one would only lengthen the history. */
const DEFERRED_MIN_MS = 1_000;
const FAULT_PAUSE_MS = 5_000;

export interface Dispatch {
  ref: JobRef;
  plan: BatchPlan;
  ledger: ChunkLedger;
  /** of chunk 0, where that was handed out before the plan was known */
  first: Promise<ChunkReturn> | undefined;
  /** of all chunks in flight */
  scope: CancellationScope;
  /** calls to look at the row: counted by the signal */
  heard: { wakes: number };
  /** Tells queries and the UI how far it is. */
  show(status: JobStatus): void;
  control: Pick<BatchControlActivities, 'batchReadDesired' | 'batchExpire'>;
  /** The history is long: begin nothing new and hand over. */
  isLong(): boolean;
}

/** Until all chunks are done (`drained`), the job comes to another end, or the run should hand over (undefined). */
export async function dispatchChunks(run: Dispatch): Promise<Outcome | undefined> {
  try {
    return await dispatchUntilEnd(run);
  } catch (error) {
    if (!isCancellation(error)) throw error;
    // Cancelled from Temporal's side: the job ends as cancelled, as if the API had been asked.
    return await CancellationScope.nonCancellable(() => callBack(run));
  }
}

async function dispatchUntilEnd(run: Dispatch): Promise<Outcome | undefined> {
  const { ledger, heard, control, ref } = run;
  const begin = createBegin(run);
  const clock = expiryClock(run.plan.wanted.expiresInMs, run.scope);
  if (run.first !== undefined && run.plan.firstOpenChunk === 0) begin({ no: 0, lane: 0 }, run.first);
  let { wanted } = run.plan;
  let wakes = 0;
  for (;;) {
    if (heard.wakes !== wakes) {
      wakes = heard.wakes;
      wanted = await control.batchReadDesired(ref);
      continue;
    }
    if (clock.isUp()) {
      clock.stop();
      wanted = await control.batchExpire(ref);
      continue;
    }
    // Before anything is awaited: what settles meanwhile must not be slept over.
    const before = ledger.settled;
    const end = await endOf(run, wanted);
    if (end !== undefined) return end;
    const long = run.isLong();
    if (long && ledger.inFlight === 0) return undefined;
    if (wanted.state === 'running' && !long) handOut(run, wanted, begin);
    run.show(SHOWN[wanted.state]);
    await condition(() => heard.wakes !== wakes || clock.isUp() || ledger.settled !== before);
  }
}

/** How operators see it. */
const SHOWN: Readonly<Record<WantedState, JobStatus>> = {
  running: 'running',
  waiting: 'queued',
  paused: 'paused',
  cancelled: 'cancelling',
  exceeded: 'running',
  ended: 'finalizing',
};

function handOut({ ledger }: Dispatch, { lanes }: Wanted, begin: Begin): void {
  ledger.lanes = lanes;
  for (let turn = ledger.next(); turn !== undefined; turn = ledger.next()) begin(turn);
}

/** Whether the job has come to the end of dispatching, and how. */
async function endOf(run: Dispatch, { state }: Wanted): Promise<Outcome | undefined> {
  if (state === 'cancelled' || state === 'exceeded') run.show(SHOWN[state]);
  if (state === 'cancelled') return callBack(run);
  // What is in flight sees the row itself, ends its items and hands back.
  if (state === 'exceeded') return run.ledger.inFlight === 0 ? 'tolerance_exceeded' : undefined;
  return state === 'ended' || run.ledger.isDrained ? 'drained' : undefined;
}

type Begin = (turn: Turn, underWay?: Promise<ChunkReturn>) => void;

function createBegin(run: Dispatch): Begin {
  const { ledger, heard, scope } = run;
  const process = createChunkActivity(run.plan);
  const work = async (turn: Turn, underWay?: Promise<ChunkReturn>): Promise<void> => {
    const wakes = heard.wakes;
    // In the workflow this is Temporal's clock: the same at each replay, and what the waits are measured by.
    // eslint-disable-next-line no-restricted-syntax
    const nowMs = Date.now();
    const back = await (underWay ?? process({ ...run.ref, ...turn, lanes: ledger.lanesHeld, nowMs }));
    // Keeps its lane, since another chunk there could not begin an item any sooner. A change of the limits since it was
    // handed out ends the wait.
    if (back.reason === 'throttled')
      await condition(() => heard.wakes !== wakes, Math.max(1, back.dueInMs ?? 0));
    ledger.settle(turn, back);
    // The chunk saw a state that this run may not know of: look at the row before handing out anything again.
    if (SEEN_IN_ROW.has(back.reason)) heard.wakes++;
    if (back.reason !== 'deferred') return;
    await sleep(Math.max(DEFERRED_MIN_MS, back.dueInMs ?? 0));
    ledger.giveBack(turn);
  };
  return (turn, underWay) => {
    ledger.begin(turn);
    scope.run(() => work(turn, underWay)).catch((error: unknown) => failed(turn, error));
  };

  /** No failure of a chunk is final, so this is a fault of the engine: hand out again, but not in a rush. */
  async function failed(turn: Turn, error: unknown): Promise<void> {
    if (!isCancellation(error)) await sleep(FAULT_PAUSE_MS).catch(() => undefined);
    ledger.giveBack(turn);
  }
}

const SEEN_IN_ROW: ReadonlySet<ChunkReturn['reason']> = new Set([
  'narrowed',
  'paused',
  'cancelled',
  'exceeded',
  'ended',
]);

/** Calls back what is in flight and waits for it, so that what was finished is still written. */
async function callBack(run: Dispatch): Promise<Outcome> {
  run.scope.cancel();
  await condition(() => run.ledger.inFlight === 0);
  return 'cancelled';
}

interface ExpiryClock {
  isUp(): boolean;
  /** its word was heard */
  stop(): void;
}

function expiryClock(expiresInMs: number | null, scope: CancellationScope): ExpiryClock {
  let up = false;
  if (expiresInMs !== null) {
    scope
      .run(() => sleep(Math.max(1, expiresInMs)))
      .then(
        () => {
          up = true;
        },
        () => undefined,
      );
  }
  return {
    isUp: () => up,
    stop: () => {
      up = false;
    },
  };
}
