/** Results out, page by page, as lines of NDJSON: a page is bounded by the items it looks at and by its bytes. */
import type { ResultStatus } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { decodeId } from '../../domain/ids';
import { type PageRow, RESULT_PAGES } from './result-statements';
import type { Queryable, Statement } from './statement';

interface ResultQuery {
  tenantId: string;
  jobId: string;
  status?: ResultStatus | undefined;
  ended: boolean;
  total: number;
  from: number;
  span: number;
}

interface LinePage {
  text: string;
  rows: number;
  bytes: number;
  next: number | null;
}

export interface ResultReads {
  resultLines(query: ResultQuery): Promise<LinePage>;
}

/** A page has no more than this and one more line. */
const PAGE_BYTES_MAX = 768 * 1024;

export function createResultReads(db: Queryable): ResultReads {
  return { resultLines: (query) => readPage(db, query) };
}

type Kind = keyof typeof RESULT_PAGES;

async function readPage(db: Queryable, query: ResultQuery): Promise<LinePage> {
  const { status, ended, from, span, total } = query;
  // Until a job ends, what has no result may still get one.
  if (from >= total || (status === 'cancelled' && !ended)) return { text: '', rows: 0, bytes: 0, next: null };
  const kind = kindOf(status, ended);
  const stop = kind === 'failed' ? total : Math.min(total, from + span);
  const { text, rows, bytes, last } = await linesBetween(db, kind, { ...query, stop });
  const cut = bytes >= PAGE_BYTES_MAX || (kind === 'failed' && rows === span);
  const end = cut && last !== null ? last + 1 : stop;
  // An ended job has a line for each item.
  if (kind === 'all' && rows < end - from) throw gone();
  return { text, rows, bytes, next: end < total ? end : null };
}

async function linesBetween(
  db: Queryable,
  kind: Kind,
  { tenantId, jobId, from, stop, span }: ResultQuery & { stop: number },
): Promise<PageRow> {
  const read = async (foldBreaks: boolean): Promise<PageRow> => {
    const values = [
      decodeId('job', jobId),
      decodeId('tenant', tenantId),
      from,
      stop,
      PAGE_BYTES_MAX,
      foldBreaks,
    ];
    const stmt: Statement<PageRow> = RESULT_PAGES[kind];
    const [page] = await db.run(stmt, kind === 'failed' ? [...values, span] : values);
    if (page === undefined) throw gone();
    return page;
  };
  const page = await read(false);
  return isOneLineARow(page) ? page : read(true);
}

function isOneLineARow({ text, rows }: PageRow): boolean {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  return lines === rows && !text.includes('\r');
}

function kindOf(status: ResultStatus | undefined, ended: boolean): Kind {
  if (status === undefined) return ended ? 'all' : 'attempted';
  return status === 'cancelled' ? 'unattempted' : status;
}

function gone(): AppError {
  return new AppError('not_found', 'The job was deleted while its results were read.');
}
