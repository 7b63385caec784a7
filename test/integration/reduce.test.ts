import fc from 'fast-check';
import type { Metric, Reduce, Summary } from '../../src/domain/batch/reduce';
import { faultSummary } from '../../src/domain/batch/reduce';
import { decodeId } from '../../src/domain/ids';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { computeSummary, createSummaryStore } from '../../src/platform/postgres/summary-store';
import { insertTenant, openTestDatabase } from '../support/database';
import { average, type Decimal, decimal, median, plus, text } from '../support/decimal';
import { numbers, queuedJob } from '../support/jobs';

type Row = { g?: string | number | null; v?: unknown; w?: string | null };

describe('reduce', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let jobId: string;
  let tenantId: string;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    tenantId = await insertTenant(db);
    ({ jobId } = await queuedJob(db, { tenantId, inputs: numbers(1) }));
  });
  afterAll(() => close());

  const store = async (outputs: readonly string[], ofJob = jobId): Promise<void> => {
    const job = decodeId('job', ofJob);
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
  const summaryText = async (reduce: Reduce): Promise<string> => {
    const reduced = await computeSummary(db, { jobId, reduce });
    if ('text' in reduced) return reduced.text;
    throw new Error(`fault: ${reduced.fault}`, { cause: reduced.cause });
  };
  const summarise = async (reduce: Reduce): Promise<Summary> =>
    JSON.parse(await summaryText(reduce)) as Summary;
  /** Its numbers as they were written. */
  const exactly = async (reduce: Reduce): Promise<Exact> => parseExactly(await summaryText(reduce)) as Exact;
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
    expect(await summaryText({ metrics: { s: { op: 'sum', path: 'output.v' } } })).toContain(
      '"s":9007199254740993.3}',
    );
  });

  test('text in the place of numbers, and paths into nowhere, are left out, never an error', async () => {
    const outputs = ['{"v": 1e999}', '{"v": "12"}', '{"v": {"a": 1}}', '3', 'null', '{"v": 4}'];
    expect(await single({ op: 'percentile', path: 'output.v', q: 0 }, outputs)).toEqual({
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

  const EXTREMES = [
    ...[
      '1e-400',
      '-1e-400',
      '5e-324',
      '-5e-324',
      '2.4e-324',
      '-0',
      '0',
      '1e-16382',
      '1e308',
      '1.8e308',
      '-1e400',
    ],
    ...['1e131071', '-1e131071', '9e131071', '-9e131071', '1e131060', '-1e131060', `1.5${'0'.repeat(1_100)}`],
    ...[`0.${'1'.repeat(1_000)}`, '9'.repeat(131_072), `-${'9'.repeat(131_072)}.${'9'.repeat(16_383)}`],
    ...['9007199254740993', '1', '-2', '0.1', '2.50'],
  ];

  test('whatever the numbers are, every figure is right, and one that numeric cannot hold is null by itself', async () => {
    const path = 'output.v';
    const reduce: Reduce = {
      group_by: 'output.g',
      metrics: {
        sum: { op: 'sum', path },
        avg: { op: 'avg', path },
        min: { op: 'min', path },
        max: { op: 'max', path },
        median: { op: 'percentile', path, q: 0.5 },
        histogram: { op: 'histogram', path, buckets: [-1e308, -5e-324, 0, 5e-324, 0.1, 1e308] },
        distinct: { op: 'count_distinct', path },
        n: { op: 'count' },
      },
    };
    const row = fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom(...EXTREMES));
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), async (rows) => {
        await store(rows.map(([g, v]) => `{"g":"${g}","v":${v}}`));
        const { groups } = await exactly(reduce);
        expect(groups.map((group) => group.key)).toEqual([...new Set(rows.map(([g]) => g))].sort());
        for (const { key, metrics } of groups) {
          const of = rows.filter(([g]) => g === key).map(([, v]) => decimal(v));
          expect(figuresIn(metrics, of)).toEqual(extremeFigures(of));
        }
      }),
      { numRuns: 12, examples: [[EXTREMES.map((v): [string, string] => ['a', v])]] },
    );
  });

  test('a sum beyond numeric is null, its average is not, and what cancels out again is exact', async () => {
    const sums: Reduce = {
      group_by: 'output.g',
      metrics: { sum: { op: 'sum', path: 'output.v' }, avg: { op: 'avg', path: 'output.v' } },
    };
    const of = (g: string, values: string[]): string[] => values.map((v) => `{"g":"${g}","v":${v}}`);
    await store([
      ...of('beyond', ['9e131071', '9e131071']),
      ...of('cancels', ['9e131071', '9e131071', '-9e131071', '-9e131071', '0.5', '9007199254740993']),
      ...of('plain', ['1', '2']),
    ]);
    const { groups } = await exactly(sums);
    expect(groups.map((g) => [g.key, g.metrics.sum])).toEqual([
      ['beyond', null],
      ['cancels', number('9007199254740993.5')],
      ['plain', number('3')],
    ]);
    expect(groups[0]?.metrics.avg).toEqual(number(`9${'0'.repeat(131_071)}`));
    expect(groups[2]?.metrics.avg).toEqual(number('1.5'));
  });

  test('a percentile keeps digits that a double would lose, and needs no value within one', async () => {
    const median = { metrics: { m: { op: 'percentile', path: 'output', q: 0.5 } } } as const;
    await store(['9007199254740993']);
    expect(await summaryText(median)).toContain('"m":9007199254740993}');
    await store(['0.1', '0.2']);
    expect(await summaryText(median)).toContain('"m":0.15}');
    await store(['1e-400', '-1e-400', '5']);
    expect(await summaryText(median)).toContain(`"m":0.${'0'.repeat(399)}1}`);
  });

  test.each<[string, string]>([
    ['a text of 1 MB', JSON.stringify('x'.repeat(1_000_000))],
    ['a list whose numbers would fill the memory as text', `[${'1e131071,'.repeat(100_000)}0]`],
    ['a number of 100,000 digits', '7'.repeat(100_000)],
    ['an object of 1 MB', `{"a":${JSON.stringify('ä'.repeat(400_000))}}`],
    ['a deep list', `${'['.repeat(500)}${']'.repeat(500)}`],
    ['true', 'true'],
    ['an empty text', '""'],
  ])('%s is a key of its own like any other, and of limited length', async (_name, value) => {
    const other = value.startsWith('"') ? `"other${value.slice(1)}` : '"other"';
    await store([value, other, value, 'null', value].map((v) => `{"v":${v}}`));
    const path = 'output.v';
    const metrics: Reduce['metrics'] = {
      n: { op: 'count' },
      d: { op: 'count_distinct', path },
      t: { op: 'top', path },
      s: { op: 'sum', path },
      p: { op: 'percentile', path, q: 0.5 },
    };
    const grouped = await summaryText({ group_by: path, metrics });
    expect(grouped.length).toBeLessThan(600_000);
    const counts = (JSON.parse(grouped) as Summary).groups.map((g) => g.metrics.n);
    expect(counts.sort()).toEqual([1, 1, 3]);
    const { groups } = await summarise({ metrics });
    expect(groups[0]?.metrics).toMatchObject({ n: 5, d: 2, t: [{ count: 3 }, { count: 1 }] });
  });

  test('equal numbers are one key, however they are written', async () => {
    await store(['1', '1.0', `1.${'0'.repeat(2_000)}`, '1e0']);
    const { groups } = await summarise({ group_by: 'output', metrics: { n: { op: 'count' } } });
    expect(groups).toEqual([{ key: 1, metrics: { n: 4 } }]);
  });

  test('every metric may be of the largest kind: 50 histograms of 100 buckets, 50 times the top 100', async () => {
    await store(Array.from({ length: 300 }, (_, i) => `{"g":${i % 2},"v":${i % 150}}`));
    const named = (metric: Metric): Reduce['metrics'] =>
      Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`m${i}`, metric]));
    const buckets = Array.from({ length: 100 }, (_, i) => i);
    const histogram = await summarise({
      group_by: 'output.g',
      metrics: named({ op: 'histogram', path: 'output.v', buckets }),
    });
    for (const [g, { metrics }] of histogram.groups.entries()) {
      expect(Object.keys(metrics)).toHaveLength(50);
      // Even numbers are of the one group, odd ones of the other; 50 are above the last bound.
      const expected = buckets.map((le) => ({ le, count: le % 2 === g ? 2 : 0 }));
      expect(metrics.m49).toEqual([...expected, { le: null, count: 50 }]);
    }
    expect(Object.keys(histogram.skipped)).toHaveLength(50);
    const top = await summarise({ metrics: named({ op: 'top', path: 'output.v', k: 100 }) });
    expect(top.groups[0]?.metrics.m49).toEqual(buckets.map((value) => ({ value, count: 2 })));
    const mixed = Object.entries(named({ op: 'sum', path: 'output.v' })).map(([name, metric], i) => {
      const op = (['sum', 'avg', 'percentile', 'min', 'count_distinct'] as const)[i % 5] ?? 'sum';
      return [name, { ...metric, op, path: i < 25 ? 'output.v' : `output.nowhere.${i}` }] as const;
    });
    const { groups, skipped } = await summarise({ metrics: Object.fromEntries(mixed) });
    expect(groups[0]?.metrics).toMatchObject({
      m0: 22_350,
      m1: 74.5,
      m2: 74.5,
      m3: 0,
      m4: 150,
      m49: 0,
      m48: null,
    });
    expect([skipped.m0, skipped.m49]).toEqual([0, 300]);
  });

  test('many groups with lists of their own are put together in one go, not each by each', async () => {
    await store(Array.from({ length: 30_000 }, (_, i) => `{"g":${i},"v":${i % 7}}`));
    const path = 'output.v';
    const { groups, groups_omitted } = await summarise({
      group_by: 'output.g',
      metrics: {
        t: { op: 'top', path },
        p: { op: 'percentile', path, q: 0.9 },
        h: { op: 'histogram', path, buckets: [3] },
      },
    });
    expect([groups.length, groups_omitted]).toEqual([10_000, 20_000]);
    const some = groups[9_999];
    const v = Number(some?.key) % 7;
    expect(some?.metrics).toEqual({
      t: [{ value: v, count: 1 }],
      p: v,
      h: [
        { le: 3, count: v <= 3 ? 1 : 0 },
        { le: null, count: v > 3 ? 1 : 0 },
      ],
    });
  });

  test('a summary that would be too large is an error in its place, while the job runs and at its end', async () => {
    const huge = Array.from({ length: 50 }, (_, i) => [`m${i}`, { op: 'max', path: 'output.v' }] as const);
    const reduce: Reduce = { group_by: 'output.g', metrics: Object.fromEntries(huge) };
    const ref = await queuedJob(db, { tenantId, inputs: numbers(1), reduce });
    await store(
      Array.from({ length: 6 }, (_, g) => `{"g":${g},"v":1e131071}`),
      ref.jobId,
    );
    expect(await computeSummary(db, { jobId: ref.jobId, reduce })).toEqual({ fault: 'size' });
    expect(await createSummaryStore(db).read(ref)).toEqual({ partial: true, text: faultSummary('size') });
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

interface Exact {
  groups: { key: unknown; metrics: Record<string, unknown> }[];
}

/** JSON with its numbers as decimals. */
function parseExactly(json: string): unknown {
  const quoted = json.replace(
    /("(?:[^"\\]|\\.)*")|(-?\d[\d.eE+-]*)/g,
    (_all, string: string, digits: string) => (string === undefined ? `{"number":"${digits}"}` : string),
  );
  return JSON.parse(quoted, (_key, value: unknown) =>
    typeof value === 'object' && value !== null && 'number' in value ? number(String(value.number)) : value,
  );
}

function number(digits: string): { number: string } {
  return { number: text(decimal(digits)) };
}

/** The answer's figures, the average only where it is not the nearest to the right one. */
function figuresIn(
  { avg, ...rest }: Record<string, unknown>,
  of: readonly Decimal[],
): Record<string, unknown> {
  const given = decimal((avg as { number: string }).number);
  return { ...rest, avg: average(of, given) };
}

const BOUNDS = ['-1e308', '-5e-324', '0', '5e-324', '0.1', '1e308'];

function extremeFigures(of: readonly Decimal[]): Record<string, unknown> {
  const sorted = [...of].sort((a, b) => (a.units < b.units ? -1 : a.units > b.units ? 1 : 0));
  const sum = plus(of);
  const limit = decimal('1e131072').units;
  const shown = (value: Decimal): { number: string } => ({ number: text(value) });
  const bounds = BOUNDS.map(decimal);
  const bucketOf = (value: Decimal): number => bounds.filter((bound) => bound.units < value.units).length;
  return {
    sum: sum.units >= limit || sum.units <= -limit ? null : shown(sum),
    avg: 'right',
    min: shown(sorted[0] as Decimal),
    max: shown(sorted.at(-1) as Decimal),
    median: shown(median(sorted)),
    histogram: [...BOUNDS, null].map((le, i) => ({
      le: le === null ? null : number(le),
      count: number(String(of.filter((value) => bucketOf(value) === i).length)),
    })),
    distinct: number(String(new Set(of.map((value) => value.units)).size)),
    n: number(String(of.length)),
  };
}
