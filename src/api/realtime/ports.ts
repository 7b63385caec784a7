/** What realtime streams need of the house below; `compose.ts` hands in what fulfils it. */
import type { JobStatus } from '../../domain/batch/status';
import type { LogEntry, Replay } from '../../domain/realtime/topic-log';

export interface JobRef {
  tenantId: string;
  jobId: string;
}

/** A job as the API shows it. @throws AppError `not_found` */
export type ReadJob = (ref: JobRef) => Promise<{ readonly status: JobStatus }>;

/** The realtime log. All of it rejects while Redis is away. */
export interface TopicLog {
  /** Where the topic stands; read before the state that is shown with it. */
  cursor(topic: string): Promise<number>;
  /** As `cursor`, of a topic whose subject has ended: replay from it says `ended`. */
  finalCursor(topic: string): Promise<number>;
  replay(topic: string, cursor: number, limit: number): Promise<Replay>;
}

/** Entries as they come, from whichever process. */
export interface LiveFeed {
  subscribe(topic: string, listener: { onEntry(entry: LogEntry): void; onReset(): void }): () => void;
}

/** Lets the workers know that the items of a job are followed: only then do they tell of each. */
export interface ItemWatch {
  /** @returns how to stop watching */
  watch(jobId: string): () => void;
}
