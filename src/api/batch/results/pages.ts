/** Results page by page, the next one read while the client takes the last, none in a transaction at the client's pace. */
import type { LinePage, ResultQuery, ResultReads } from './ports';

/** Small, so that the first byte comes soon. */
const SPAN_FIRST = 256;
const SPAN_MIN = 8;
/** Items looked at by one statement that seeks among items of other statuses; bounds its time, whatever it finds. */
const SPAN_MAX = 20_000;
const SPAN_GROWTH = 8;
/** Below where the store cuts its pages: reading more than fits is reading in vain. */
const PAGE_BYTES = 640 * 1024;

/** The texts of the pages that have lines. */
export async function* resultPages(
  reads: ResultReads,
  query: Omit<ResultQuery, 'span'>,
): AsyncGenerator<string, void, void> {
  const read = ({ from, span }: Window): Promise<Read> =>
    reads.resultLines({ ...query, from, span }).then((page) => ({ page, from, span }));
  let next: Promise<Read> | undefined = read({ from: query.from, span: SPAN_FIRST });
  try {
    while (next !== undefined) {
      const last: Read = await next;
      next = undefined;
      const window = windowAfter(last, query.status === 'failed');
      if (window !== undefined) {
        next = read(window);
        // It is awaited after the client has taken this page; until then its failure is nobody's.
        next.catch(() => undefined);
      }
      if (last.page.rows > 0) yield last.page.text;
    }
  } finally {
    await next?.catch(() => undefined);
  }
}

interface Window {
  from: number;
  span: number;
}

interface Read extends Window {
  page: LinePage;
}

/** @param byRows the span counts lines to find, not items to look at */
function windowAfter({ page, from, span }: Read, byRows: boolean): Window | undefined {
  if (page.next === null) return undefined;
  const reach = byRows ? page.rows : page.next - from;
  const fitting = Math.floor((PAGE_BYTES * reach) / Math.max(1, page.bytes));
  return { from: page.next, span: Math.max(SPAN_MIN, Math.min(fitting, SPAN_GROWTH * span, SPAN_MAX)) };
}
