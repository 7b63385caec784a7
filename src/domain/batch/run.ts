/** The words between the engine's activities and the rows: what an attempt holds, reads and comes to. Ids are public ids. */
import type { JobOptions, JobRef, Json } from './job';
import type { Limits } from './partition';
import type { Reduce } from './reduce';
import type { DesiredState, JobStatus, Outcome } from './status';

export interface ChunkRef extends JobRef {
  no: number;
}

/** A chunk and the proof of an attempt's turn at it. */
export type HeldChunk = ChunkRef & { epoch: number };

/** What may change under a running chunk. */
export interface Control {
  status: JobStatus;
  desired: DesiredState;
  /** set before the end where that is decided already */
  outcome: Outcome | null;
  /** the job's and its tenant's plan's, whichever is less */
  limits: Limits;
  /** failed items that it bears; null: all */
  tolerated: number | null;
}

/** What a chunk or a plan needs of its job. */
export interface RunJob extends Control {
  handler: string;
  params: Json;
  options: JobOptions;
  reduce: Reduce | null;
  upload: number;
  total: number;
  chunkItems: number;
  expiresAt: Date | null;
}

/** What an attempt took, and what earlier attempts left. */
export interface Hold {
  epoch: number;
  done: boolean;
  succeeded: number;
  failed: number;
  /** consecutive attempts that ended without a word and without a written result */
  lost_attempts: number;
  /** items that ended since an attempt was lost */
  clean_items: number;
  /** the last item that had a process to itself when that was lost, and how often in a row */
  suspect_index: number | null;
  suspect_crashes: number;
}

export interface PendingItem {
  index: number;
  /** null: the index as text */
  custom_id: string | null;
  /** exact JSON text */
  input: string;
  /** attempts made in earlier turns of the chunk */
  attempts: number;
}

export interface ItemRange {
  upload: number;
  /** the last index that was read; items after it */
  after: number;
  /** exclusive */
  end: number;
  limit: number;
  bytesMax: number;
  /** items that wait for another attempt are read when they are due by then */
  due: Date;
  /** this is the first attempt at the chunk, so none of its items has a result or waits */
  fresh?: boolean;
}

/** How far a job's chunks are. */
export interface DoneChunks {
  firstOpen: number;
  /** of the chunks after it those that are done, from 0 for the next one; below `DONE_MAP_MAX` */
  doneAfter: number[];
  /** items of all that are done */
  succeeded: number;
  failed: number;
}

/** How a job ended; the counts add up to its total. */
export interface Finished {
  status: JobStatus;
  succeeded: number;
  failed: number;
  cancelled: number;
}

/** Consecutive lost attempts after which the rest of a chunk runs one by one. */
export const LOST_ATTEMPTS_MAX = 2;
/** Items that have to end well one by one until a chunk is trusted again. */
export const CLEAN_ITEMS_MIN = 50;
/** Crashes at which an item that ran alone is given up. */
export const CRASHES_MAX = 2;
/** Longest that one attempt at a chunk begins new items; about 20 s where items are quick. */
export const CHUNK_BOX_MAX_MS = 150_000;
