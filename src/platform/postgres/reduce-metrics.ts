/** Each metric of a `reduce` in SQL. No value of any kind makes one of them fail. */
import { KEY_CHARACTERS_MAX, type Metric } from '../../domain/batch/reduce';
import type { Columns } from './reduce-columns';

export interface MetricSql {
  /** columns of `grouped`, aggregated over the rows of `vals` */
  aggregates: readonly string[];
  /** the metric's JSON text: an expression over `kept`, or a query for g and value with one row for each g at most */
  value: string | { query: string };
  /** what stands for nothing, where that is not null */
  nothing?: string;
  /** which rows of `vals` are left out, where any can be */
  skipped: string | undefined;
}

export interface MetricPlace {
  bind(value: unknown): string;
  columns: Columns;
}

/** @param i the metric's number: its columns and table are named by it */
export function metricSql(metric: Metric, i: number, place: MetricPlace): MetricSql {
  const { op, path = 'output' } = metric;
  if (op === 'count' && metric.path === undefined)
    return { aggregates: [], value: 'kept.n::text', skipped: undefined };
  switch (op) {
    case 'count':
    case 'count_distinct':
    case 'top': {
      const v = place.columns.json(path);
      const present = `(${v} is not null and ${v} <> 'null'::jsonb)`;
      const skipped = `not ${present}`;
      if (op === 'top') return { ...topSql({ v, present, k: place.bind(metric.k ?? 10) }), skipped };
      const counted = op === 'count' ? '*' : `distinct ${v}`;
      return {
        aggregates: [`count(${counted}) filter (where ${present}) as a${i}`],
        value: `kept.a${i}::text`,
        skipped,
      };
    }
    default: {
      const x = place.columns.number(path);
      return { ...numericSql({ ...metric, op }, { i, x, bind: place.bind }), skipped: `${x} is null` };
    }
  }
}

type NumericMetric = Metric & { op: Exclude<Metric['op'], 'count' | 'count_distinct' | 'top'> };
type Figure = Omit<MetricSql, 'skipped'>;

interface NumericPlace {
  i: number;
  x: string;
  bind(value: unknown): string;
}

function numericSql(metric: NumericMetric, place: NumericPlace): Figure {
  const { i, x, bind } = place;
  switch (metric.op) {
    case 'percentile':
      return percentileSql(x, bind(String(metric.q ?? 0.5)));
    case 'histogram':
      return histogramSql(place, metric.buckets ?? []);
    case 'sum':
      return { aggregates: sumParts(i, x), value: numberText(sumOf(i)) };
    case 'avg':
      return { aggregates: [...sumParts(i, x), `count(${x}) as c${i}`], value: numberText(averageOf(i)) };
    default:
      return { aggregates: [`${metric.op}(${x}) as a${i}`], value: numberText(`kept.a${i}`) };
  }
}

/** As JSON, and as a person would write it: 1.50 is 1.5. */
function numberText(number: string): string {
  return `trim_scale(${number})::text`;
}

/**
 * `numeric` ends at 10^131072, and a sum that gets there ends the statement. So numbers near that end are summed in units
 * of 10^20, with their last 20 digits among the others. The number of rows is below 2^31: neither part gets to the end.
 */
const HUGE = '1e131060';
const UNIT_DIGITS = 20;
const UNIT = `1e${UNIT_DIGITS}`;
const PER_UNIT = `1e-${UNIT_DIGITS}`;
/** In units: the first number that has no place in a `numeric`. */
const UNITS_END = '1e131052';

function sumParts(i: number, x: string): string[] {
  const units = `trunc(${x}, -${UNIT_DIGITS})`;
  return [
    `sum(${units} * ${PER_UNIT}) filter (where abs(${x}) >= ${HUGE}) as h${i}`,
    `sum(case when abs(${x}) < ${HUGE} then ${x} else ${x} - ${units} end) as a${i}`,
  ];
}

/** A sum of huge numbers: whole units, and what is left of less than one; the latter may have the other sign. */
function unitsOf(i: number): { units: string; rest: string } {
  const carried = `trunc(kept.a${i}, -${UNIT_DIGITS})`;
  return { units: `(kept.h${i} + ${carried} * ${PER_UNIT})`, rest: `(kept.a${i} - ${carried})` };
}

/** Null where the sum has no place in a `numeric`. */
function sumOf(i: number): string {
  const { units, rest } = unitsOf(i);
  return `case when kept.h${i} is null then kept.a${i}
    when abs(${units}) < ${UNITS_END} or abs(${units}) = ${UNITS_END} and sign(${units}) * sign(${rest}) < 0
    then trunc((${units} - sign(${units})) * ${UNIT}) + (sign(${units}) * ${UNIT} + ${rest}) end`;
}

/** An average always has its place, also where the sum has none; of a huge one the fraction is dropped, lest it is rounded up. */
function averageOf(i: number): string {
  const { units } = unitsOf(i);
  return `case when kept.h${i} is null or abs(${units}) < ${HUGE} * ${PER_UNIT}
    then (${sumOf(i)}) / nullif(kept.c${i}, 0)
    else trunc(${units} / kept.c${i} * ${UNIT}) end`;
}

/**
 * Interpolates between neighbours as percentile_cont does, which knows float8 only: there a number of 17 digits loses some,
 * and one beyond its range ends the statement. Of two huge neighbours fractions are dropped, lest rounding passes the end.
 */
function percentileSql(x: string, q: string): Figure {
  const text = `
    select g, sum(case when part = 0 then x else
        (case when abs(x) < ${HUGE} then x else trunc(x) end) * (case when place = low then 1 - part else part end)
      end) as value
    from (
      select g, x, place, trunc(rank) + 1 as low, rank - trunc(rank) as part
      from (
        select g, ${x} as x, row_number() over (partition by g order by ${x}) as place,
          ${q}::numeric * (count(*) over (partition by g) - 1) as rank
        from vals where ${x} is not null
      ) numbered
    ) placed
    where place = low or (place = low + 1 and part > 0)
    group by g`;
  return {
    aggregates: [],
    value: { query: `select g, ${numberText('value')} as value from (${text}) interpolated` },
  };
}

/**
 * Counts by upper bound (inclusive); the last bucket, with `le: null`, holds what is above all of them. width_bucket finds
 * the bucket by halving, but takes lower bounds: so everything is negated.
 */
function histogramSql({ x, bind }: NumericPlace, bounds: readonly number[]): Figure {
  const les = `${bind([...bounds.map(String), 'null'])}::text[]`;
  const lower = `${bind([...bounds].reverse().map((bound) => String(-bound)))}::numeric[]`;
  const query = `
    select g, '[' || string_agg('{"le":' || (${les})[place] || ',"count":' || n || '}', ',' order by place) || ']' as value
    from (
      select g, place, sum(n) as n from (
        select g, ${bounds.length + 1} - width_bucket(-${x}, ${lower}) as place, 1 as n from vals where ${x} is not null
        -- A bucket that has nothing in it is shown too.
        union all select g, place, 0 from kept cross join generate_series(1, ${bounds.length + 1}) place
      ) each group by g, place
    ) counted group by g`;
  return { aggregates: [], value: { query } };
}

interface TopPlace {
  v: string;
  present: string;
  k: string;
}

/** The k most frequent values of each group; equal counts are ordered by the value, so that the answer is one. */
function topSql({ v, present, k }: TopPlace): Figure {
  const query = `
    select g, '[' || string_agg('{"value":' || key::text || ',"count":' || n || '}', ',' order by place) || ']' as value
    from (
      select g, key, count(*) as n, row_number() over (partition by g order by count(*) desc, key) as place
      from (select g, ${keySql(v)} as key from vals where ${present}) keyed group by g, key
    ) ranked where place <= ${k}::int group by g`;
  return { aggregates: [], value: { query }, nothing: '[]' };
}

/**
 * A value as a group's key: itself, or for one that is too long its beginning, kind and hash, so that it still is a group
 * of its own. Its text is not made before its size is known: 1e131071 is ten characters of JSON and 131,072 of jsonb.
 */
export function keySql(v: string): string {
  const hash = [0, 1].map((seed) => `lpad(to_hex(jsonb_hash_extended(${v}, ${seed})), 16, '0')`).join(' || ');
  const beginning = `case jsonb_typeof(${v}) when 'string' then left(${v} #>> '{}', 100) || '… ' else '' end`;
  const short = `to_jsonb(${beginning} || '(' || jsonb_typeof(${v}) || ' ' || ${hash} || ')')`;
  // Equal numbers are one key, however many zeros they end with.
  const plain = `case jsonb_typeof(${v}) when 'number' then trim_scale((${v})::numeric)::text else (${v})::text end`;
  return `case
    when ${v} is null then 'null'::jsonb
    when pg_column_size(${v}) > ${KEY_CHARACTERS_MAX * 4} then ${short}
    when length(${plain}) > ${KEY_CHARACTERS_MAX} then ${short}
    else ${v} end`;
}
