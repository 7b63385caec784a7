/** What the routes of lent chunks need of the house below; `compose` hands in what fulfils it. Ids are public ids. */
import type { JobRef } from '../../domain/batch/job';
import type { AttemptsMade, ChunkRest, LoanedChunk } from '../../domain/batch/loan';
import type { Reservation } from '../../domain/batch/pace';
import type {
  ChunkRef,
  Control,
  HeldChunk,
  Hold,
  ItemRange,
  PendingItem,
  RunJob,
} from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import type { ItemOutcome } from '../../domain/handler/contract';
import type { ChunkGrant, RemoteHandler } from '../../domain/handler/remote';

export interface ChunkTokens {
  /** Undefined: not one of ours. One that has expired is told by its grant. */
  verify(token: string): ChunkGrant | undefined;
}

/** The fence, and the way results are written: as the engine's own workers use them. */
export interface ChunkStore {
  take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
  readPending(ref: ChunkRef, range: ItemRange): Promise<PendingItem[]>;
  /** @throws AppError `superseded`, or `output_not_storable` for their data */
  write(held: HeldChunk, outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  giveUpSuspect(held: HeldChunk, outcome: ItemOutcome): Promise<void>;
  /** @throws AppError `superseded` */
  mark(held: HeldChunk, index: number): Promise<void>;
  /** @throws AppError `superseded` */
  handBack(held: HeldChunk, done: boolean): Promise<unknown>;
}

export interface LoanStore {
  find(ref: ChunkRef): Promise<LoanedChunk | undefined>;
  attempts(ref: ChunkRef, indexes: readonly number[]): Promise<AttemptsMade[]>;
  rest(ref: ChunkRef, range: { upload: number; start: number; end: number }, now: Date): Promise<ChunkRest>;
}

export interface RunReads {
  find(ref: JobRef): Promise<RunJob | undefined>;
  watch(jobIds: readonly string[]): Promise<({ jobId: string } & Control)[]>;
  /** Ends the job for its failed items where they are more than `tolerated`. */
  exceed(ref: JobRef, tolerated: number): Promise<boolean>;
}

export interface ChunkRouteDeps {
  tokens: ChunkTokens;
  chunks: ChunkStore;
  loans: LoanStore;
  runs: RunReads;
  rates: { reserve(ref: JobRef, items: number, intervalMs: number): Promise<Reservation> };
  handlers: { find(name: string): RemoteHandler | undefined };
  /** Decrypts a secret param of a job of this tenant; what it returns throws where no key fits. */
  openFor(tenantId: string): (sealed: string) => string;
  /** Subscribers' view of a job; never throws. */
  progress: { touch(ref: JobRef): void };
  now(): Date;
  /** from 0 to 1, for the jitter of retries */
  chance(): number;
}
