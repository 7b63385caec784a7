/** A chunk whose handler is served by workers in another language: lent, worked at over there, taken back. */
import { ActivityCancellationType, isCancellation, proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES } from '../../domain/batch/engine';
import { REMOTE_ACTIVITY, remoteTaskQueue } from '../../domain/handler/remote';
import type {
  BatchChunkActivities,
  BatchLoanActivities,
  BatchPlan,
  Lent,
  LoanEnd,
  RemoteWorkerActivities,
} from './ports';

export function createRemoteChunk(plan: BatchPlan): BatchChunkActivities['batchProcessChunk'] {
  const { batchLendChunk, batchReclaimChunk } = proxyActivities<BatchLoanActivities>({
    taskQueue: TASK_QUEUES.control,
    startToCloseTimeout: '1 minute',
    retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '10 seconds' },
  });
  return async (argument) => {
    const lent = await batchLendChunk(argument);
    if ('reason' in lent) return lent;
    const end = await workAt(plan.handler, lent);
    // In the workflow this is Temporal's clock: the same at each replay, and what the waits are measured by.
    // eslint-disable-next-line no-restricted-syntax
    return batchReclaimChunk({ ...argument, nowMs: Date.now(), had: lent.had, end });
  };
}

/** @returns null where no worker brought its turn to an end. @throws only when it is cancelled */
async function workAt(handler: string, lent: Lent): Promise<LoanEnd | null> {
  const { [REMOTE_ACTIVITY]: processItems } = proxyActivities<RemoteWorkerActivities>({
    taskQueue: remoteTaskQueue(handler),
    startToCloseTimeout: lent.startToCloseMs,
    scheduleToCloseTimeout: lent.scheduleToCloseMs,
    heartbeatTimeout: '10 seconds',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '10 seconds' },
  });
  try {
    return toLoanEnd(await processItems(lent.loan));
  } catch (error) {
    if (isCancellation(error)) throw error;
    return null;
  }
}

/** Workers are written by others: what they answer is taken for what it is. */
function toLoanEnd(answer: unknown): LoanEnd {
  const { epoch, stop, wait_ms: waitMs } = (answer ?? {}) as Record<string, unknown>;
  return {
    ...(typeof epoch === 'number' && Number.isSafeInteger(epoch) && { epoch }),
    ...(typeof stop === 'string' && { stop: stop.slice(0, 32) }),
    ...(typeof waitMs === 'number' && waitMs >= 0 && { waitMs }),
  };
}
