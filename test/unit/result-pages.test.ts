import fc from 'fast-check';
import { resultPages } from '../../src/api/batch/results/pages';
import type { LinePage, ResultQuery } from '../../src/api/batch/results/ports';
import type { ResultStatus } from '../../src/domain/batch/job';

interface Line {
  /** undefined: not looked for */
  bytes: number | undefined;
}

const CUT = 768 * 1024;

/** Answers as the store does, late and out of step; counts what is asked of it at once. */
function storeOf(lines: readonly Line[], status?: ResultStatus) {
  const asked = { now: 0, most: 0, all: 0 };
  const page = ({ from, span }: ResultQuery): LinePage => {
    let text = '';
    let bytes = 0;
    let rows = 0;
    let at = from;
    const more = (): boolean => (status === 'failed' ? rows < span : at < from + span) && at < lines.length;
    for (; more() && bytes < CUT; at++) {
      const line = lines[at];
      if (line?.bytes === undefined) continue;
      text += `${at}\n`;
      bytes += line.bytes;
      rows++;
    }
    const next = status === 'failed' && rows < span && bytes < CUT ? lines.length : at;
    return { text, rows, bytes, next: next < lines.length ? next : null };
  };
  return {
    asked,
    resultLines: async (query: ResultQuery): Promise<LinePage> => {
      asked.all++;
      asked.now++;
      asked.most = Math.max(asked.most, asked.now);
      for (let turns = (query.from * 7) % 5; turns > 0; turns--) await Promise.resolve();
      asked.now--;
      return page(query);
    },
  };
}

async function textOf(lines: readonly Line[], status?: ResultStatus, from = 0) {
  const store = storeOf(lines, status);
  const query = { tenantId: 't', jobId: 'j', status, ended: true, total: lines.length, from };
  let text = '';
  for await (const page of resultPages(store, query)) text += page;
  return { text, ...store.asked };
}

const wanted = (lines: readonly Line[], from = 0): string =>
  lines.map((line, i) => (line.bytes === undefined || i < from ? '' : `${i}\n`)).join('');

it('every line comes once and in order, however long the lines are and however few are looked for', async () => {
  const bytes = fc.oneof(fc.constant(undefined), fc.constant(100), fc.constant(100), fc.nat(1_000_000));
  const stretch = fc.tuple(bytes, fc.integer({ min: 1, max: 6_000 }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(stretch, { maxLength: 6 }),
      fc.nat(9_000),
      fc.boolean(),
      async (parts, from, failed) => {
        const lines = parts.flatMap(([one, times]) =>
          Array.from({ length: Math.min(times, one !== undefined && one > 9_999 ? 40 : times) }, () => ({
            bytes: one,
          })),
        );
        const first = Math.min(from, lines.length);
        const { text } = await textOf(lines, failed ? 'failed' : undefined, first);
        expect(text).toBe(wanted(lines, first));
      },
    ),
    { numRuns: 60 },
  );
});

it('small lines come by thousands, and what is read ahead is never read in vain', async () => {
  const lines = Array.from({ length: 100_000 }, () => ({ bytes: 200 }));
  const { text, most, all } = await textOf(lines);
  expect(text).toBe(wanted(lines));
  expect(all).toBeLessThan(40);
  expect(most).toBe(2);
});

it('of large lines no more than the next page is read ahead, and hardly one twice', async () => {
  const lines = Array.from({ length: 300 }, () => ({ bytes: 1_000_000 }));
  const { text, most, all } = await textOf(lines);
  expect(text).toBe(wanted(lines));
  expect(all).toBeLessThan(305);
  expect(most).toBe(1);
});

it('a failure comes behind the pages before it, also where it was read ahead', async () => {
  const store = storeOf(Array.from({ length: 5_000 }, () => ({ bytes: 100 })));
  const failing = {
    resultLines: (query: ResultQuery) =>
      query.from > 3_000 ? Promise.reject(new Error('away')) : store.resultLines(query),
  };
  const query = { tenantId: 't', jobId: 'j', ended: true, total: 5_000, from: 0 };
  const seen: string[] = [];
  const read = async (): Promise<void> => {
    for await (const page of resultPages(failing, query)) seen.push(...page.trim().split('\n'));
  };
  await expect(read()).rejects.toThrow('away');
  expect(seen.length).toBeGreaterThan(256);
  expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => String(i)));
});

it('a client that leaves has nothing read for it any more', async () => {
  const store = storeOf(Array.from({ length: 100_000 }, () => ({ bytes: 200 })));
  const query = { tenantId: 't', jobId: 'j', ended: true, total: 100_000, from: 0 };
  for await (const page of resultPages(store, query)) {
    expect(page.length).toBeGreaterThan(0);
    break;
  }
  expect(store.asked.now).toBe(0);
  expect(store.asked.all).toBe(3);
});
