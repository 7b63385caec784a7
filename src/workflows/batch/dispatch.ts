/** The window of chunk activities: what is handed out, when it waits, and how it ends. */
import {
  ActivityCancellationType,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  sleep,
} from '@temporalio/workflow';
import { TASK_QUEUES } from '../../domain/batch/engine';
import type { JobRef } from '../../domain/batch/job';
import type { DesiredState, Outcome } from '../../domain/batch/status';
import type { ChunkLedger } from './ledger';
import type { BatchChunkActivities, BatchControlActivities, BatchPlan } from './ports';

/** Waiting items of a chunk fall due in waves; handing it out for each one by one would only lengthen the history. */
const DEFERRED_MIN_MS = 1_000;
const FAULT_PAUSE_MS = 5_000;

export interface Dispatch {
  ref: JobRef;
  plan: BatchPlan;
  ledger: ChunkLedger;
  /** set by the signal, cleared when the row was looked at */
  heard: { woken: boolean };
  /** Tells queries and the UI how far it is. */
  show(): void;
  readDesired: BatchControlActivities['batchReadDesired'];
  /** The history is long: begin nothing new and hand over. */
  isLong(): boolean;
}

/** Until all chunks are done (`drained`), the job is cancelled, or the run should hand over (undefined). */
export async function dispatchChunks(run: Dispatch): Promise<Outcome | undefined> {
  const scope = new CancellationScope();
  try {
    return await dispatchUntilEnd(run, scope);
  } catch (error) {
    if (!isCancellation(error)) throw error;
    // Cancelled from Temporal's side: the job ends as cancelled, as if the API had been asked.
    return await CancellationScope.nonCancellable(() => stop(run, scope));
  }
}

async function dispatchUntilEnd(run: Dispatch, scope: CancellationScope): Promise<Outcome | undefined> {
  const { ledger, heard } = run;
  const begin = createBegin(run, scope);
  let desired: DesiredState | 'ended' = run.plan.desired;
  for (;;) {
    if (heard.woken) {
      heard.woken = false;
      desired = await run.readDesired(run.ref);
      continue;
    }
    if (desired === 'ended') return 'drained';
    if (desired === 'cancelled') return await stop(run, scope);
    if (ledger.isDrained) return 'drained';
    const long = run.isLong();
    if (long && ledger.inFlight === 0) return undefined;
    if (desired === 'running' && !long) {
      for (let no = ledger.next(); no !== undefined; no = ledger.next()) begin(no);
      run.show();
    }
    const before = ledger.settled;
    await condition(() => heard.woken || ledger.settled !== before);
  }
}

function createBegin(run: Dispatch, scope: CancellationScope): (no: number) => void {
  const { batchProcessChunk } = proxyActivities<BatchChunkActivities>({
    taskQueue: TASK_QUEUES.batch,
    // The time box is 20 s; an item that began just before its end may take its whole timeout.
    startToCloseTimeout: 120_000 + run.plan.itemMaxMs,
    heartbeatTimeout: '10 seconds',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // Without end: a chunk is never given up, its items fail one by one. `batchProcessChunk` throws no final failures.
    retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '3 seconds' },
  });
  const work = async (no: number): Promise<void> => {
    // In the workflow this is Temporal's clock: the same at each replay, and what the waits are measured by.
    // eslint-disable-next-line no-restricted-syntax
    const back = await batchProcessChunk({ ...run.ref, no, nowMs: Date.now() });
    run.ledger.settle(no, back);
    // The chunk saw a state that this run may not know of: look at the row before handing out anything again.
    if (back.reason === 'paused' || back.reason === 'cancelled' || back.reason === 'ended')
      run.heard.woken = true;
    run.show();
    if (back.reason !== 'deferred') return;
    await sleep(Math.max(DEFERRED_MIN_MS, back.dueInMs ?? 0));
    run.ledger.giveBack(no);
  };
  return (no) => {
    run.ledger.begin(no);
    scope.run(() => work(no)).catch((error: unknown) => failed(no, error));
  };

  /** No failure of a chunk is final, so this is a fault of the engine: hand out again, but not in a rush. */
  async function failed(no: number, error: unknown): Promise<void> {
    if (!isCancellation(error)) await sleep(FAULT_PAUSE_MS).catch(() => undefined);
    run.ledger.giveBack(no);
  }
}

/** Calls back what is in flight and waits for it, so that what was finished is still written. */
async function stop(run: Dispatch, scope: CancellationScope): Promise<Outcome> {
  scope.cancel();
  await condition(() => run.ledger.inFlight === 0);
  return 'cancelled';
}
