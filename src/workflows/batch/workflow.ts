/**
 * Drives one job. The rows are the truth: everything here can be lost and is rebuilt by `batchBegin`.
 *
 *   begin -> dispatch chunks in lanes -> finish
 *              ^ waits for a seat and while paused; stops when cancelled or expired, or too much has failed;
 *                continues as new when the history grows long
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { TASK_QUEUES } from '../../domain/batch/engine';
import type { Counts, JobRef } from '../../domain/batch/job';
import { toCounts } from '../../domain/batch/progress';
import { isFinal, type JobStatus } from '../../domain/batch/status';
import { createOwnChunk } from './chunk-activity';
import { describeRun } from './details';
import { dispatchChunks } from './dispatch';
import { ChunkLedger } from './ledger';
import { type BatchEnd, type BatchInput, progressQuery, STATUS_ATTRIBUTE, wokenSignal } from './messages';
import type { BatchControlActivities, BatchPlan, ChunkReturn } from './ports';

/** Well below the server's own suggestion of 4,096 events, so that a replay stays quick. */
const RUN_EVENTS_MAX = 3_000;

const control = proxyActivities<BatchControlActivities>({
  taskQueue: TASK_QUEUES.control,
  startToCloseTimeout: '30 minutes',
  heartbeatTimeout: '30 seconds',
  retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
});

export async function batchJob(input: BatchInput): Promise<BatchEnd> {
  const ref = { tenantId: input.tenantId, jobId: input.jobId };
  const heard = { wakes: 0 };
  let counts: Counts = toCounts({ total: 0, succeeded: 0, failed: 0, cancelled: 0, running: 0 });
  setHandler(progressQuery, () => counts);
  setHandler(wokenSignal, () => {
    heard.wakes++;
  });

  const scope = new CancellationScope();
  const first = beginFirst(ref, input, scope);
  // A job cancelled from Temporal's side still has to be begun and written to its end.
  const plan = await CancellationScope.nonCancellable(() => control.batchBegin(ref));
  if (plan === null || isFinal(plan.status)) return endOf(plan);
  const ledger = new ChunkLedger(plan);
  let status: JobStatus | undefined;
  const show = (now: JobStatus): void => {
    counts = ledger.counts();
    // An event and a write each, so only where it changes.
    if (now !== status) upsertSearchAttributes([{ key: STATUS_ATTRIBUTE, value: now }]);
    status = now;
    setCurrentDetails(describeRun({ ...ref, plan, ledger, status }));
  };
  show(plan.status);
  const outcome =
    plan.status === 'finalizing'
      ? 'drained'
      : await dispatchChunks({
          ref,
          plan,
          ledger,
          first,
          scope,
          heard,
          show,
          control,
          isLong,
        });
  if (outcome === undefined) {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
    return continueAsNew<typeof batchJob>({ ...input, first: undefined });
  }

  upsertSearchAttributes([{ key: STATUS_ATTRIBUTE, value: 'finalizing' }]);
  const end = await CancellationScope.nonCancellable(() => control.batchFinish({ ...ref, outcome }));
  counts = toCounts({ ...end, total: plan.total, running: 0 });
  upsertSearchAttributes([{ key: STATUS_ATTRIBUTE, value: end.status }]);
  setCurrentDetails(describeRun({ ...ref, plan, ledger, status: end.status, end }));
  return end;

  function isLong(): boolean {
    const info = workflowInfo();
    return info.continueAsNewSuggested || info.historyLength >= (input.runEventsMax ?? RUN_EVENTS_MAX);
  }
}

function beginFirst(
  ref: JobRef,
  { first }: BatchInput,
  scope: CancellationScope,
): Promise<ChunkReturn> | undefined {
  if (first === undefined) return undefined;
  // In the workflow this is Temporal's clock.
  // eslint-disable-next-line no-restricted-syntax
  const argument = { ...ref, no: 0, lane: 0, lanes: 1, nowMs: Date.now(), first: true } as const;
  const chunk = scope.run(() => createOwnChunk(first)(argument));
  // Whoever waits for it hears of its failure; nobody does where the job has ended.
  chunk.catch(() => undefined);
  return chunk;
}

/** A workflow that has nothing (more) to do: the job is gone or ended before. */
function endOf(plan: BatchPlan | null): BatchEnd {
  if (plan === null) return { status: 'cancelled', succeeded: 0, failed: 0, cancelled: 0 };
  return { status: plan.status, succeeded: plan.succeeded, failed: plan.failed, cancelled: 0 };
}
