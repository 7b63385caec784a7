/**
 * Handlers that other processes serve, in whatever language: a chunk is lent to them, and they move its items and results
 * over HTTP. docs/remote-handlers.md is the contract; what stands here is what both of its sides in this house share.
 */
import type { ChunkRef } from '../batch/run';
import type { Handler } from './contract';

/** Changes when a worker that was written for an older one could not work by it any more. */
export const REMOTE_CONTRACT = 1;
/** Name of the activity that a worker registers. */
export const REMOTE_ACTIVITY = 'process_items';

/** Each handler has a task queue of its own, so that its workers get nothing else. */
export function remoteTaskQueue(handler: string): string {
  return `handler.${handler}`;
}

/** Where the API has what belongs to a chunk that is lent. */
export function chunkPath(jobId: string, no: number | string): string {
  return `/remote/v1/jobs/${jobId}/chunks/${no}`;
}

export interface RemoteHandler extends Handler {
  readonly remote: true;
  /** What is wrong with an item's input, exact JSON text; undefined: nothing. */
  inputFault(text: string): string | undefined;
  /** Likewise of an output. */
  outputFault(text: string): string | undefined;
}

export function isRemote(handler: Handler | undefined): handler is RemoteHandler {
  return handler?.remote === true;
}

/** What a chunk's token grants: this chunk, for a while. */
export interface ChunkGrant extends ChunkRef {
  /** of the chunk, decides its share of the job's limits */
  lane: number;
  /** lanes at the hand-out */
  lanes: number;
  /** how far the workflow's clock was ahead of this machine's when the chunk was lent */
  clockAheadMs: number;
  /** in whole seconds */
  expiresAt: Date;
}
