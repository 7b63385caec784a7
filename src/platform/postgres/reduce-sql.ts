/**
 * A `reduce` as one SQL statement over a job's results: exact, computed where the rows are, and answered as JSON text,
 * so that a sum beyond 2^53 keeps its digits.
 */
import { GROUPS_MAX, type Metric, outputPath, type Reduce } from '../../domain/batch/reduce';
import type { Statement } from './statement';

export interface ReduceQuery {
  statement: Statement<{ summary: string }>;
  values: unknown[];
}

interface MetricSql {
  /** the metric's JSON value, as an aggregate over `vals` */
  value: string;
  /** an aggregate that counts what was left out, or none */
  skipped: string | undefined;
  /** a further table of the statement, keyed by g */
  table?: string;
}

/** @param jobUuid the only rows that are read are this job's */
export function reduceQuery(jobUuid: string, reduce: Reduce): ReduceQuery {
  const values: unknown[] = [jobUuid];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const entries = Object.entries(reduce.metrics);
  const pathOf = (path: string): string => `r.o #> ${bind(outputPath(path))}::text[]`;

  const group =
    reduce.group_by === undefined ? `'null'::jsonb` : `coalesce(${pathOf(reduce.group_by)}, 'null'::jsonb)`;
  const groupRef = reduce.group_by === undefined ? `'null'::jsonb` : 'vals.g';
  const columns = entries.map(
    ([, m], i) => `${m.path === undefined ? 'null::jsonb' : pathOf(m.path)} as v${i}`,
  );
  const metrics = entries.map(([, metric], i) => metricSql(metric, i, { bind, group: groupRef }));
  const pairs = (of: (m: MetricSql) => string | undefined): string =>
    entries
      .flatMap(([name], i) => {
        const sql = of(metrics[i] as MetricSql);
        return sql === undefined ? [] : [`${bind(name)}::text, ${sql}`];
      })
      .join(', ');

  const text = `
    with vals as materialized (
      select ${[`${group} as g`, ...columns].join(', ')}
      from (select output::jsonb as o from results where job_id = $1 and status = 'succeeded') r
    )${metrics.map((m) => m.table ?? '').join('')},
    grouped as (
      select ${groupRef} as g, count(*) as n,
        json_build_object(${pairs((m) => m.value)}) as metrics,
        json_build_object(${pairs((m) => (m.skipped === undefined ? undefined : `(sum(${m.skipped}) over ())::bigint`))}) as skipped,
        count(*) over () as groups
      from vals ${reduce.group_by === undefined ? '' : 'group by vals.g'}
    ),
    kept as (select * from grouped order by n desc, g limit ${GROUPS_MAX})
    select json_build_object(
      'groups', coalesce(json_agg(json_build_object('key', g, 'metrics', metrics) order by g), '[]'),
      'skipped', coalesce((select skipped from kept limit 1), '{}'),
      'groups_omitted', coalesce(max(groups), 0) - count(*)
    )::text as summary from kept`;
  return { statement: { name: 'reduce.run', text, prepared: false }, values };
}

type Bind = (value: unknown) => string;

interface MetricPlace {
  bind: Bind;
  group: string;
}

function metricSql(metric: Metric, i: number, { bind, group }: MetricPlace): MetricSql {
  const v = `vals.v${i}`;
  const present = `(${v} is not null and ${v} <> 'null'::jsonb)`;
  const absent = `count(*) filter (where not ${present})`;
  switch (metric.op) {
    case 'count':
      if (metric.path === undefined) return { value: 'count(*)', skipped: undefined };
      return { value: `count(*) filter (where ${present})`, skipped: absent };
    case 'count_distinct':
      return { value: `count(distinct ${v}) filter (where ${present})`, skipped: absent };
    case 'top':
      return topSql({ i, group, present, k: bind(metric.k ?? 10), absent });
    default: {
      const skipped = `count(*) filter (where jsonb_typeof(${v}) is distinct from 'number')`;
      return { value: numericSql({ ...metric, op: metric.op }, v, bind), skipped };
    }
  }
}

type NumericMetric = Metric & { op: Exclude<Metric['op'], 'count' | 'count_distinct' | 'top'> };

function numericSql(metric: NumericMetric, v: string, bind: Bind): string {
  const number = `case when jsonb_typeof(${v}) = 'number' then (${v})::numeric end`;
  switch (metric.op) {
    case 'percentile':
      return percentileSql(v, bind(metric.q ?? 0.5));
    case 'histogram':
      return histogramSql(number, metric.buckets ?? [], bind);
    default:
      return `${metric.op}(${number})`;
  }
}

/** percentile_cont interpolates between neighbours and knows float8 only; a number beyond float8 is an infinity there. */
function percentileSql(v: string, q: string): string {
  const float = `case when jsonb_typeof(${v}) = 'number' and abs((${v})::numeric) < 1.7e308 then (${v})::float8 end`;
  return `percentile_cont(${q}::float8) within group (order by ${float})`;
}

/** Counts by upper bound (inclusive); the last bucket, with `le: null`, holds what is above all of them. */
function histogramSql(number: string, bounds: readonly number[], bind: Bind): string {
  const bound = bounds.map((b) => `${bind(String(b))}::numeric`);
  const buckets = [...bound, undefined].map((le, n) => {
    const above = n === 0 ? 'true' : `${number} > ${bound[n - 1]}`;
    const within = le === undefined ? 'true' : `${number} <= ${le}`;
    const count = `count(*) filter (where ${number} is not null and ${above} and ${within})`;
    return `json_build_object('le', ${le ?? 'null'}, 'count', ${count})`;
  });
  return `json_build_array(${buckets.join(', ')})`;
}

interface TopSql {
  i: number;
  group: string;
  present: string;
  k: string;
  absent: string;
}

/** The k most frequent values of each group; equal counts are ordered by the value, so that the answer is one. */
function topSql({ i, group, present, k, absent }: TopSql): MetricSql {
  const table = `,
    top${i} as (
      select g, json_agg(json_build_object('value', v${i}, 'count', n) order by n desc, v${i}) as list from (
        select g, v${i}, count(*) as n, row_number() over (partition by g order by count(*) desc, v${i}) as place
        from vals where ${present} group by g, v${i}
      ) ranked where place <= ${k}::int group by g
    )`;
  return {
    table,
    value: `coalesce((select list from top${i} where top${i}.g = ${group}), '[]')`,
    skipped: absent,
  };
}
