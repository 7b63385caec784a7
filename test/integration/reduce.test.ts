import fc from 'fast-check';
import type { Metric, Reduce, Summary } from '../../src/domain/batch/reduce';
import { decodeId } from '../../src/domain/ids';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { computeSummary } from '../../src/platform/postgres/summary-store';
import { insertTenant, openTestDatabase } from '../support/database';
import { numbers, queuedJob } from '../support/jobs';

type Row = { g?: string | number | null; v?: unknown; w?: string | null };

describe('reduce', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let jobId: string;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    const tenantId = await insertTenant(db);
    ({ jobId } = await queuedJob(db, { tenantId, inputs: numbers(1) }));
  });
  afterAll(() => close());

  const store = async (outputs: readonly string[]): Promise<void> => {
    const job = decodeId('job', jobId);
    await db.run({ name: 'test.clear', text: 'delete from results where job_id = $1' }, [job]);
    await db.run(
      {
        name: 'test.store',
        text: `insert into results (job_id, index, status, output, attempts, duration_ms)
               select $1, t.n, 'succeeded', t.o::json, 1, 0 from unnest($2::text[]) with ordinality t(o, n)`,
      },
      [job, outputs],
    );
  };
  const summarise = async (reduce: Reduce): Promise<Summary> =>
    JSON.parse((await computeSummary(db, jobId, reduce)) as string) as Summary;
  const single = async (
    metric: Metric,
    outputs: readonly string[],
  ): Promise<{ value: unknown; skipped: unknown }> => {
    await store(outputs);
    const { groups, skipped } = await summarise({ metrics: { m: metric } });
    return { value: groups[0]?.metrics.m, skipped: skipped.m };
  };

  test('every op agrees with plain code, by group, over any mixture of values', async () => {
    const row: fc.Arbitrary<Row> = fc.record(
      {
        g: fc.constantFrom('a', 'b', 'ä"\'', 1, null),
        v: fc.oneof(fc.integer({ min: -1_000, max: 1_000 }), fc.constantFrom('7', null, true, [1], { x: 1 })),
        w: fc.constantFrom('x', 'y', 'z', null),
      },
      { requiredKeys: [] },
    );
    const reduce: Reduce = {
      group_by: 'output.g',
      metrics: {
        n: { op: 'count' },
        nv: { op: 'count', path: 'output.v' },
        distinct: { op: 'count_distinct', path: 'output.w' },
        sum: { op: 'sum', path: 'output.v' },
        avg: { op: 'avg', path: 'output.v' },
        min: { op: 'min', path: 'output.v' },
        max: { op: 'max', path: 'output.v' },
        median: { op: 'percentile', path: 'output.v', q: 0.5 },
        histogram: { op: 'histogram', path: 'output.v', buckets: [-100, 0, 100] },
        top: { op: 'top', path: 'output.w', k: 2 },
      },
    };
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 60 }), async (rows) => {
        await store(rows.map((r) => JSON.stringify(r)));
        const summary = await summarise(reduce);
        expect(new Map(summary.groups.map((g) => [JSON.stringify(g.key), g.metrics]))).toEqual(plainly(rows));
        const numeric = rows.filter((r) => typeof r.v === 'number').length;
        const present = rows.filter((r) => r.v !== undefined && r.v !== null).length;
        if (rows.length > 0)
          expect(summary.skipped).toMatchObject({ sum: rows.length - numeric, nv: rows.length - present });
        expect(summary.groups_omitted).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test('without group_by there is one group with key null, also over nothing', async () => {
    await store([]);
    const metrics = { n: { op: 'count' }, s: { op: 'sum', path: 'output.v' } } as const;
    expect(await summarise({ metrics })).toEqual({
      groups: [{ key: null, metrics: { n: 0, s: null } }],
      skipped: { s: 0 },
      groups_omitted: 0,
    });
  });

  test('sums keep digits that a double would lose', async () => {
    await store(['{"v": 9007199254740993}', '{"v": 0.1}', '{"v": 0.2}']);
    expect(await computeSummary(db, jobId, { metrics: { s: { op: 'sum', path: 'output.v' } } })).toContain(
      '9007199254740993.3',
    );
  });

  test('numbers beyond a double, text in the place of numbers, and paths into nowhere are left out, never an error', async () => {
    const outputs = ['{"v": 1e999}', '{"v": "12"}', '{"v": {"a": 1}}', '3', 'null', '{"v": 4}'];
    expect(await single({ op: 'percentile', path: 'output.v', q: 0.5 }, outputs)).toEqual({
      value: 4,
      skipped: 4,
    });
    expect(await single({ op: 'max', path: 'output.v.a' }, outputs)).toEqual({ value: 1, skipped: 5 });
    expect(await single({ op: 'sum', path: 'output' }, ['1', '2', '"3"'])).toEqual({ value: 3, skipped: 1 });
  });

  test('names of metrics and paths are data: quotes in them do no harm', async () => {
    await store([`{"it's": {"a\\"b": 5}}`]);
    const summary = await summarise({
      metrics: { [`n"'; drop table jobs; --`]: { op: 'sum', path: `output.it's.a"b` } },
    });
    expect(Object.values(summary.groups[0]?.metrics ?? {})).toEqual([5]);
  });

  test('of more than 10,000 groups the largest stay and the rest is counted', async () => {
    await store([...Array.from({ length: 10_050 }, (_, i) => `{"g":${i}}`), '{"g":10049}']);
    const summary = await summarise({ group_by: 'output.g', metrics: { n: { op: 'count' } } });
    expect(summary.groups).toHaveLength(10_000);
    expect(summary.groups_omitted).toBe(50);
    expect(summary.groups.find((g) => g.key === 10_049)?.metrics.n).toBe(2);
  });
});

/** The same figures in code that has nothing to do with SQL. */
function plainly(rows: readonly Row[]): Map<string, Record<string, unknown>> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = JSON.stringify(row.g ?? null);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return new Map([...groups].map(([key, of]) => [key, figures(of)]));
}

function figures(rows: readonly Row[]): Record<string, unknown> {
  const v = rows
    .map((r) => r.v)
    .filter((x): x is number => typeof x === 'number')
    .sort((a, b) => a - b);
  const w = rows.map((r) => r.w).filter((x): x is string => typeof x === 'string');
  const sum = v.reduce((a, b) => a + b, 0);
  const middle = (v.length - 1) / 2;
  const tally = [...new Set(w)].map((value) => ({ value, count: w.filter((x) => x === value).length }));
  tally.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1));
  const bounds = [-Infinity, -100, 0, 100, Infinity];
  return {
    n: rows.length,
    nv: rows.filter((r) => r.v !== undefined && r.v !== null).length,
    distinct: new Set(w).size,
    sum: v.length === 0 ? null : sum,
    avg: v.length === 0 ? null : expect.closeTo(sum / v.length, 9),
    min: v[0] ?? null,
    max: v.at(-1) ?? null,
    median:
      v.length === 0 ? null : ((v[Math.floor(middle)] as number) + (v[Math.ceil(middle)] as number)) / 2,
    histogram: [-100, 0, 100, null].map((le, i) => ({
      le,
      count: v.filter((x) => x > (bounds[i] as number) && x <= (bounds[i + 1] as number)).length,
    })),
    top: tally.slice(0, 2),
  };
}
