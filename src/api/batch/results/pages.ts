/**
 * Results page by page, at the client's pace and none in a transaction of that pace. While it takes one page the next two are
 * read: one that is on its way here, and one that the database works at meanwhile.
 */
import type { LinePage, ResultQuery, ResultReads } from './ports';

/** Small, so that the first byte comes soon. */
const SPAN_FIRST = 256;
const SPAN_MIN = 8;
/** Items looked at by one statement that seeks among items of other statuses; bounds its time, whatever it finds. */
const SPAN_MAX = 20_000;
const SPAN_GROWTH = 8;
/** Below where the store cuts its pages: what does not fit is read again, as the next page. */
const PAGE_BYTES = 640 * 1024;
const READS_MAX = 2;

type Wanted = Omit<ResultQuery, 'span'>;

/** The texts of the pages that have lines. */
export async function* resultPages(reads: ResultReads, wanted: Wanted): AsyncGenerator<string, void, void> {
  const ahead: Reading[] = [];
  const begin = ({ from, span }: Window): void => {
    const page = reads.resultLines({ ...wanted, from, span });
    // It is awaited when the client has taken what comes before; until then its failure is nobody's.
    page.catch(() => undefined);
    ahead.push({ from, span, page });
  };
  try {
    begin({ from: wanted.from, span: SPAN_FIRST });
    for (let reading = ahead.shift(); reading !== undefined; reading = ahead.shift()) {
      const page = await reading.page;
      // What was read ahead is of use where this page came as far as was expected.
      if (ahead[0]?.from !== page.next) ahead.length = 0;
      for (const window of windowsAfter({ ...reading, page }, ahead, wanted)) begin(window);
      if (page.rows > 0) yield page.text;
    }
  } finally {
    await Promise.allSettled(ahead.map(({ page }) => page));
  }
}

interface Window {
  from: number;
  span: number;
}

interface Reading extends Window {
  page: Promise<LinePage>;
}

interface Read extends Window {
  page: LinePage;
}

/** What to begin to read, now that `last` is here and `ahead` is under way. */
function* windowsAfter(
  last: Read,
  ahead: readonly Window[],
  { status, total }: Wanted,
): Generator<Window, void, void> {
  const span = spanAfter(last, status);
  const furthest = ahead.at(-1);
  let from = furthest === undefined ? last.page.next : endOf(furthest);
  for (let under = ahead.length; from !== null && from < total && under < READS_MAX; under++) {
    yield { from, span };
    // Where a page will end is known of windows alone, and only where they fit.
    if (status === 'failed' || last.page.next !== endOf(last)) return;
    from += span;
  }
}

const endOf = ({ from, span }: Window): number => from + span;

/** As many as fit, going by the last ones; of status `failed` it counts lines, elsewhere items. */
function spanAfter({ page, from, span }: Read, status: Wanted['status']): number {
  const reach = status === 'failed' ? page.rows : (page.next ?? from) - from;
  const fitting = Math.floor((PAGE_BYTES * reach) / Math.max(1, page.bytes));
  return Math.max(SPAN_MIN, Math.min(fitting, SPAN_GROWTH * span, SPAN_MAX));
}
