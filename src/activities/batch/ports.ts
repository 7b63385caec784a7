/** What the batch activities need of the house below. Ids are public ids. */
import type { JobRef } from '../../domain/batch/job';
import type { Reservation } from '../../domain/batch/pace';
import type { Reduce, Reduced } from '../../domain/batch/reduce';
import type {
  ChunkRef,
  Control,
  DoneChunks,
  Finished,
  HeldChunk,
  Hold,
  ItemRange,
  PendingItem,
  RunJob,
} from '../../domain/batch/run';
import type { JobStatus, Outcome } from '../../domain/batch/status';
import type { HandlerLog, ItemOutcome } from '../../domain/handler/contract';

export interface ChunkStore {
  take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
  readPending(ref: ChunkRef, range: ItemRange): Promise<PendingItem[]>;
  nextDue(ref: ChunkRef, range: { start: number; end: number }): Promise<Date | null>;
  write(held: HeldChunk, outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  giveUpSuspect(held: HeldChunk, outcome: ItemOutcome): Promise<void>;
  mark(held: HeldChunk, index: number): Promise<void>;
  handBack(held: HeldChunk, done: boolean): Promise<{ succeeded: number; failed: number }>;
}

export interface RunStore {
  begin(ref: JobRef): Promise<RunJob | undefined>;
  find(ref: JobRef): Promise<RunJob | undefined>;
  doneChunks(ref: JobRef, chunks: number): Promise<DoneChunks>;
  /** The job as it is, and a note in its row that it was looked at. */
  look(ref: JobRef): Promise<RunJob | undefined>;
  /** Ends the job as `expired` where it has come to no other end. */
  expire(ref: JobRef): Promise<void>;
  /** Ends the job for its failed items where they are more than `tolerated`. @returns whether they are */
  exceed(ref: JobRef, tolerated: number): Promise<boolean>;
  watch(jobIds: readonly string[]): Promise<({ jobId: string } & Control)[]>;
  /** The job of this tenant that is next to get a seat of its plan. */
  nextWaiting(tenantId: string): Promise<JobRef | undefined>;
  finalize(ref: JobRef, outcome: Outcome): Promise<{ status: JobStatus; outcome: Outcome } | undefined>;
  /** @throws what is no fault of the aggregation, such as a database that is away */
  summarise(ref: JobRef, reduce: Reduce): Promise<Reduced>;
  finish(ref: JobRef, end: { outcome: Outcome; summary: string | null }): Promise<Finished>;
}

/** The pace of jobs with a `max_rps`, over all workers. */
export interface RateStore {
  reserve(ref: JobRef, items: number, intervalMs: number): Promise<Reservation>;
}

/** Subscribers' view of a job; losing a word of it costs latency, never truth. Never throws. */
export interface ProgressPublisher {
  touch(ref: JobRef): void;
  flush(ref: JobRef): Promise<void>;
}

export type ActivityLog = HandlerLog;
