/** What lending chunks needs of the house below. Ids are public ids. */
import type { JobRef } from '../../domain/batch/job';
import type { ChunkRest } from '../../domain/batch/loan';
import type { ChunkRef, HeldChunk, Hold, RunJob } from '../../domain/batch/run';
import type { JobStatus } from '../../domain/batch/status';
import type { HandlerRegistry } from '../../domain/handler/contract';
import type { ChunkGrant } from '../../domain/handler/remote';

export interface LoanDeps {
  chunks: {
    take(ref: ChunkRef): Promise<Hold | { status: JobStatus } | undefined>;
    /** @throws AppError `superseded` */
    handBack(held: HeldChunk, done: boolean): Promise<{ succeeded: number; failed: number }>;
  };
  loans: {
    rest(ref: ChunkRef, range: { upload: number; start: number; end: number }, now: Date): Promise<ChunkRest>;
  };
  runs: { find(ref: JobRef): Promise<RunJob | undefined> };
  handlers: HandlerRegistry;
  tokens: { sign(grant: ChunkGrant): string };
  /** where remote workers reach the API, without a slash at its end */
  publicUrl: string;
  now(): Date;
  /** a worker that is quick hands back after so long */
  timeBoxMs: number;
}
