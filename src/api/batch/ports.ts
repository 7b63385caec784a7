/** What the job routes need of the house below; `compose.ts` hands in what fulfils it. Ids are public ids throughout. */
import type { ItemRow, ItemStatus, NewItem } from '../../domain/batch/item';
import type { Counts, Job, JobPage, JobPatch, JobRef, NewJob, NewRetry } from '../../domain/batch/job';
import type { JobSummary } from '../../domain/batch/reduce';
import type { Handler } from '../../domain/handler/contract';

/** Every method is by tenant; another tenant's job is `not_found`. Each change writes its event in the same transaction. */
export interface JobStore {
  insert(job: NewJob): Promise<Job>;
  find(ref: JobRef): Promise<Job>;
  list(page: JobPage): Promise<Job[]>;
  summary(ref: JobRef): Promise<JobSummary>;
  /** Draws a number for an upload. @throws AppError `job_not_open` */
  openUpload(ref: JobRef): Promise<number>;
  /** Makes the upload the job's items, under the job's row lock; drops what an earlier one brought. @throws `job_not_open` */
  finishUpload(upload: JobRef & { upload: number; total: number }): Promise<Job>;
  /**
   * created -> queued: seals the total and reserves it. Again on a started job: no change.
   * @throws `job_has_no_items`, `job_already_ended`, `too_many_items`, `quota_exceeded`
   */
  start(ref: JobRef): Promise<Job>;
  /** queued, running -> paused. Again: no change. @throws `job_not_started`, `job_already_ended` */
  pause(ref: JobRef): Promise<Job>;
  /** paused -> queued. On a job that is not paused: no change. @throws `job_not_started`, `job_already_ended` */
  resume(ref: JobRef): Promise<Job>;
  /** Asks for the end; a job never started ends at once. Again on a cancelling job: no change. @throws `job_already_ended` */
  cancel(ref: JobRef): Promise<Job>;
  /** What is as it was changes nothing. @throws `job_already_ended`: the options are settled, name and metadata never are */
  update(ref: JobRef, patch: JobPatch): Promise<Job>;
  /**
   * Makes the job that does again what did not succeed in an ended one, and queues it; asked again, it is that same job and
   * `made` is false. @throws `job_not_ended`, `nothing_to_retry`, `too_many_items`, `quota_exceeded`
   */
  retry(ref: JobRef, wish: NewRetry): Promise<{ job: Job; made: boolean }>;
  /** Ended jobs, and those never started. Their items and results go later. @throws `job_not_ended`, `job_in_use` */
  remove(ref: JobRef): Promise<void>;
}

export interface ItemQuery extends JobRef {
  status?: ItemStatus | undefined;
  customId?: string | undefined;
  /** items with an index of at least this */
  from: number;
  limit: number;
}

/** May have fewer rows than asked for, even none, with more to come: pages are bounded by bytes and by effort too. */
export interface IndexPage<Row> {
  rows: Row[];
  /** `from` of the next page; null after the last */
  next: number | null;
}

export interface ItemStore {
  /**
   * Streams items into an upload in one transaction of its own and makes it the job's items at the end; all or nothing.
   * @param planMax items that the plan allows one job; null: no limit
   * @throws AppError `not_found`, `job_not_open`, `too_many_items`; `duplicate_custom_id` or `not_storable` with the line;
   *   whatever `items` throws, as it is.
   */
  upload(ref: JobRef, items: AsyncIterable<readonly NewItem[]>, planMax: number | null): Promise<Job>;
  /** In index order. Empty only where nothing is left. */
  page(query: ItemQuery): Promise<IndexPage<ItemRow>>;
}

/** Items that come with their job, in the transaction that makes it; `custom_id`s are known to be unique. */
export interface InlineItemStore {
  insert(upload: JobRef & { upload: number }, items: readonly NewItem[]): Promise<void>;
}

/** The handlers, as far as a job's creation asks for them. */
export interface HandlerCatalogue {
  find(name: string): Pick<Handler, 'validateParams' | 'secretParams'> | undefined;
}

/** Temporal, seen from the API. */
export interface JobEngine {
  /** Starts the job's workflow; one that runs already is fine. A failure is healed by the sweep: callers log and go on. */
  start(
    job: JobRef & { handler: string; priority: number; first?: { itemMaxMs: number } | undefined },
  ): Promise<void>;
  /** Tells the workflow to look at the desired state. */
  wake(ref: JobRef): Promise<void>;
  /** Asks the workflow; undefined where it can't answer in time. */
  progress(ref: JobRef): Promise<Counts | undefined>;
}
