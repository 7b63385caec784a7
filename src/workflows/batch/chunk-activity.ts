/** The activity that works through a chunk: ours, or that of a handler in another language. */
import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES } from '../../domain/batch/engine';
import { CHUNK_BOX_MAX_MS } from '../../domain/batch/run';
import type { BatchChunkActivities, BatchPlan } from './ports';
import { createRemoteChunk } from './remote-chunk';

/** Beyond its time box and the item that began just before its end. */
const MARGIN_MS = 120_000;

type ProcessChunk = BatchChunkActivities['batchProcessChunk'];

export function createChunkActivity(plan: BatchPlan): ProcessChunk {
  return plan.remote ? createRemoteChunk(plan) : createOwnChunk(plan);
}

export function createOwnChunk(plan: Pick<BatchPlan, 'itemMaxMs'>): ProcessChunk {
  const { batchProcessChunk } = proxyActivities<BatchChunkActivities>({
    taskQueue: TASK_QUEUES.batch,
    startToCloseTimeout: MARGIN_MS + CHUNK_BOX_MAX_MS + plan.itemMaxMs,
    heartbeatTimeout: '10 seconds',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    // Without end: a chunk is never given up, its items fail one by one. `batchProcessChunk` throws no final failures.
    retry: { initialInterval: '500 ms', backoffCoefficient: 2, maximumInterval: '3 seconds' },
  });
  return batchProcessChunk;
}
