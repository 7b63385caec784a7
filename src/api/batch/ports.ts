/** What the job routes need of the house below; `compose.ts` hands in what fulfils it. Ids are public ids throughout. */
import type { ItemRow, ItemStatus, NewItem, ResultRow } from '../../domain/batch/item';
import type { Counts, Job, JobPage, JobRef, Json, NewJob, ResultStatus } from '../../domain/batch/job';
import type { JobSummary } from '../../domain/batch/reduce';

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
  /** created -> queued: seals the total. Again on a started job: no change. @throws `job_has_no_items`, `job_already_ended` */
  start(ref: JobRef): Promise<Job>;
  /** Asks for the end; a job never started ends at once. Again on a cancelling job: no change. @throws `job_already_ended` */
  cancel(ref: JobRef): Promise<Job>;
}

export interface ItemQuery extends JobRef {
  status?: ItemStatus | undefined;
  customId?: string | undefined;
  /** items with an index of at least this */
  from: number;
  limit: number;
}

export interface ResultQuery extends JobRef {
  /** of this status only; `cancelled` has lines of an ended job only */
  status?: ResultStatus | undefined;
  /** the job had ended when the download began: items without a result are `cancelled` then */
  ended: boolean;
  /** the job's items */
  total: number;
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
   * @throws AppError `not_found`, `job_not_open`, `too_many_items`; `duplicate_custom_id` or `not_storable` with the line;
   *   whatever `items` throws, as it is.
   */
  upload(ref: JobRef, items: AsyncIterable<readonly NewItem[]>): Promise<Job>;
  /** In index order. Empty only where nothing is left. */
  page(query: ItemQuery): Promise<IndexPage<ItemRow>>;
  /** In index order. */
  results(query: ResultQuery): Promise<IndexPage<ResultRow>>;
}

/** Items that come with their job, in the transaction that makes it; `custom_id`s are known to be unique. */
export interface InlineItemStore {
  insert(upload: JobRef & { upload: number }, items: readonly NewItem[]): Promise<void>;
}

/** The handlers, as far as a job's creation asks for them. */
export interface HandlerCatalogue {
  find(name: string): { validateParams(params: Json): Promise<void> } | undefined;
}

/** Temporal, seen from the API. */
export interface JobEngine {
  /** Starts the job's workflow; one that runs already is fine. A failure is healed by the sweep: callers log and go on. */
  start(job: JobRef & { handler: string; priority: number }): Promise<void>;
  /** Tells the workflow to look at the desired state. */
  wake(ref: JobRef): Promise<void>;
  /** Asks the workflow; undefined where it can't answer in time. */
  progress(ref: JobRef): Promise<Counts | undefined>;
}
