/** What a download needs of the house below. */
import type { JobRef, ResultStatus } from '../../../domain/batch/job';

export interface ResultQuery extends JobRef {
  /** of this status only; `cancelled` has lines of an ended job only */
  status?: ResultStatus | undefined;
  /** the job had ended when the download began: items without a result are `cancelled` then */
  ended: boolean;
  /** the job's items */
  total: number;
  /** items with an index of at least this */
  from: number;
  /** items to look at; of status `failed`, lines to find */
  span: number;
}

/** May have no lines, with more to come: pages are bounded by bytes and by effort too. */
export interface LinePage {
  /** NDJSON, each line with its `\n`, in the order of the index; outputs and errors are the exact text that was stored */
  text: string;
  rows: number;
  /** what the lines take, near enough to choose the next span by */
  bytes: number;
  /** `from` of the next page; null after the last */
  next: number | null;
}

export interface ResultReads {
  /** @throws AppError `not_found` where the job went away */
  resultLines(query: ResultQuery): Promise<LinePage>;
}

/** One file in the making. Calls follow one another; `close` may come at any time, also instead of an answer. */
export interface ParquetFile {
  /** All lines, in order, before the first `write`: they decide on columns and types. */
  observe(lines: string): Promise<void>;
  /** The same lines again; ones that were not observed are left out. @returns what is finished of the file, maybe nothing */
  write(lines: string): Promise<Uint8Array>;
  /** @returns the rest of the file. @throws Error where a line that was observed did not come again */
  finish(): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface ParquetFiles {
  open(): ParquetFile;
}
