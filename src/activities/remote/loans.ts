/** The short activities around the turn of a worker in another language: lend its chunk, take it back. */
import { Context } from '@temporalio/activity';
import type { BatchLoanActivities, ChunkArgument } from '../../workflows/batch/ports';
import { createChunkClock } from '../batch/chunk-clock';
import { toRetryableFailure } from '../to-failure';
import { lendChunk } from './lend-chunk';
import type { LoanDeps } from './ports';
import { reclaimChunk } from './reclaim-chunk';

const RETRY_DELAY_MS = 5_000;

export function createLoans(deps: LoanDeps): BatchLoanActivities {
  return {
    batchLendChunk: (argument) => unending(() => lendChunk(deps, argument, nowOf(argument))),
    batchReclaimChunk: (argument) => unending(() => reclaimChunk(deps, argument, nowOf(argument))),
  };
}

/** A chunk is never given up. */
async function unending<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toRetryableFailure(error, RETRY_DELAY_MS);
  }
}

function nowOf({ nowMs }: ChunkArgument): number {
  const { scheduledTimestampMs, currentAttemptScheduledTimestampMs } = Context.current().info;
  const clock = createChunkClock({
    handedOverMs: nowMs,
    scheduledMs: scheduledTimestampMs,
    attemptScheduledMs: currentAttemptScheduledTimestampMs,
  });
  return clock.nowMs();
}
