/** What the batch activities need of the house below. Ids are public ids. */
import type { Reduce } from '../../domain/batch/reduce';
import type { DesiredState, JobStatus, Outcome } from '../../domain/batch/status';
import type { JobOptions, Json } from '../../domain/batch/job';
import type { HandlerLog, ItemOutcome } from '../../domain/handler/contract';

export interface JobRef {
  tenantId: string;
  jobId: string;
}

export interface ChunkRef extends JobRef {
  no: number;
}

export type HeldChunk = ChunkRef & { epoch: number };

export interface RunJob {
  status: JobStatus;
  desired: DesiredState;
  handler: string;
  params: Json;
  options: JobOptions;
  reduce: Reduce | null;
  upload: number;
  total: number;
  chunkItems: number;
  windowChunks: number;
}

export interface Hold {
  epoch: number;
  done: boolean;
  succeeded: number;
  failed: number;
  lost_attempts: number;
  marked_index: number | null;
  marked_crashes: number;
}

export interface PendingItem {
  index: number;
  custom_id: string | null;
  /** exact JSON text */
  input: string;
}

export interface ItemRange {
  upload: number;
  after: number;
  end: number;
  limit: number;
  bytesMax: number;
}

export interface ChunkStore {
  take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
  readPending(ref: ChunkRef, range: ItemRange): Promise<PendingItem[]>;
  write(held: HeldChunk, outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  mark(held: HeldChunk, index: number): Promise<void>;
  handBack(held: HeldChunk, done: boolean): Promise<{ succeeded: number; failed: number }>;
}

export interface Finished {
  status: JobStatus;
  succeeded: number;
  failed: number;
  cancelled: number;
}

export interface RunStore {
  begin(ref: JobRef): Promise<RunJob | undefined>;
  find(ref: JobRef): Promise<RunJob | undefined>;
  doneChunks(ref: JobRef, chunks: number): Promise<{ firstOpen: number; succeeded: number; failed: number }>;
  readDesired(ref: JobRef): Promise<{ desired: DesiredState; status: JobStatus } | undefined>;
  watch(jobIds: readonly string[]): Promise<{ jobId: string; status: JobStatus; desired: DesiredState }[]>;
  finalize(ref: JobRef, outcome: Outcome): Promise<{ status: JobStatus; outcome: Outcome } | undefined>;
  /** JSON text */
  summarise(ref: JobRef, reduce: Reduce): Promise<string | null>;
  finish(ref: JobRef, end: { outcome: Outcome; summary: string | null }): Promise<Finished>;
}

/** Subscribers' view of a job; losing a word of it costs latency, never truth. Never throws. */
export interface ProgressPublisher {
  touch(ref: JobRef): void;
  flush(ref: JobRef): Promise<void>;
}

export type ActivityLog = HandlerLog;
