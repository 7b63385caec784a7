/**
 * A `reduce` as one SQL statement over a job's results: exact, computed where the rows are, and answered as JSON text,
 * so that a sum beyond 2^53 keeps its digits. The text is built of texts, since functions take 100 arguments at most.
 *
 *   vals: every value once -> grouped: aggregates by group -> kept: the largest groups -> parts: the texts of all metrics
 *                        `-> a query for each metric that needs more than an aggregate ---^  `-> texts: an object by group
 *
 * Parts meet by `union all` and `group by`, not by joins: nothing is known of how many groups there are, and a planner that
 * guesses few compares each with each.
 */
import { GROUPS_MAX, type Reduce, SUMMARY_BYTES_MAX } from '../../domain/batch/reduce';
import { createColumns } from './reduce-columns';
import { keySql, type MetricSql, metricSql } from './reduce-metrics';
import type { Statement } from './statement';

export interface ReduceQuery {
  /** `summary` is null where it would be larger than `SUMMARY_BYTES_MAX` */
  statement: Statement<{ summary: string | null }>;
  values: unknown[];
}

/** @param jobUuid the only rows that are read are this job's */
export function reduceQuery(jobUuid: string, reduce: Reduce): ReduceQuery {
  const values: unknown[] = [jobUuid];
  const bind = (value: unknown): string => `$${values.push(value)}`;
  const columns = createColumns(bind);
  const group = reduce.group_by === undefined ? undefined : columns.raw(reduce.group_by);
  const metrics = Object.entries(reduce.metrics).map(([name, metric], i) => ({
    label: bind(`${JSON.stringify(name)}:`),
    ...metricSql(metric, i, { bind, columns }),
  }));

  const text = `
    with vals as materialized (
      select ${group === undefined ? `'null'::jsonb` : keySql(group)} as g ${columns.selected()}
      from (
        select ${columns.extracted()} from (
          -- A fence: each output is parsed once, not once for each path.
          select output::jsonb as o from results where job_id = $1 and status = 'succeeded' offset 0
        ) r offset 0
      ) p
    ),
    skips as (${skipsSql(metrics)}),
    grouped as (
      select ${group === undefined ? `'null'::jsonb as g` : 'g'}, count(*) as n, count(*) over () as groups
        ${metrics.flatMap((m) => m.aggregates.map((aggregate) => `, ${aggregate}`)).join('')}
      from vals ${group === undefined ? '' : 'group by g'}
    ),
    kept as (select * from grouped order by n desc, g limit ${GROUPS_MAX}),
    parts as (${partsSql(metrics)}),
    texts as (
      select g, '{"key":' || g::text || ',"metrics":{' || ${objectSql(metrics)} || '}}' as text
      from parts group by g having bool_or(no = ${KEPT})
    ),
    whole as (
      select coalesce(string_agg(text, ',' order by g), '') as groups,
        coalesce((select max(groups) from kept), 0) - count(*) as omitted
      from texts
    )
    select case when octet_length(whole.groups) <= ${SUMMARY_BYTES_MAX} then
      '{"groups":[' || whole.groups || '],"skipped":{' || skips.skipped || '},"groups_omitted":' || whole.omitted || '}'
    end as summary
    from whole cross join skips`;
  return { statement: { name: 'reduce.run', text, prepared: false }, values };
}

type Labelled = MetricSql & { label: string };

/** The number of the part that says that a group is kept. */
const KEPT = -1;

/** For each group what each metric came to: g, the metric's number, JSON text. */
function partsSql(metrics: readonly Labelled[]): string {
  const simple = metrics.flatMap(({ value }, i) => (typeof value === 'string' ? [`(${i}, ${value})`] : []));
  const queries = metrics.flatMap(({ value }, i) =>
    typeof value === 'string' ? [] : [`select g, ${i}, value from (${value.query}) metric`],
  );
  const ofKept = [`(${KEPT}, null::text)`, ...simple].join(', ');
  return [
    `select g, no, value from kept cross join lateral (values ${ofKept}) part(no, value)`,
    ...queries,
  ].join(' union all ');
}

function objectSql(metrics: readonly Labelled[]): string {
  const members = metrics.map(({ label, nothing = 'null' }, i) => {
    return `${label}::text || coalesce(max(value) filter (where no = ${i}), '${nothing}')`;
  });
  return members.join(` || ',' || `);
}

/** One row, over all groups. */
function skipsSql(metrics: readonly Labelled[]): string {
  const pairs = metrics.flatMap(({ label, skipped }) =>
    skipped === undefined ? [] : [`${label}::text || count(*) filter (where ${skipped})`],
  );
  return pairs.length === 0
    ? `select '' as skipped`
    : `select ${pairs.join(` || ',' || `)} as skipped from vals`;
}
