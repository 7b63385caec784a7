/** The aggregation of a job's results: its definition (`reduce`) and its outcome (`summary`).  */
export const REDUCE_OPS = [
  'count',
  'count_distinct',
  'sum',
  'avg',
  'min',
  'max',
  'percentile',
  'histogram',
  'top',
] as const;
export type ReduceOp = (typeof REDUCE_OPS)[number];

/** `path` is a dotted path that starts with `output`, such as `output.state`. */
export interface Metric {
  op: ReduceOp;
  path?: string | undefined;
  /** percentile only: 0 to 1 */
  q?: number | undefined;
  /** histogram only: ascending upper bounds */
  buckets?: number[] | undefined;
  /** top only: how many values, 1 to 100 */
  k?: number | undefined;
}

export interface Reduce {
  group_by?: string | undefined;
  metrics: Record<string, Metric>;
}

export interface SummaryGroup {
  key: unknown;
  /** null where there is nothing to compute from, or the figure is beyond what `numeric` holds */
  metrics: Record<string, unknown>;
}

/** Values that are missing or not numeric are left out and counted in `skipped`, by metric. */
export interface Summary {
  groups: SummaryGroup[];
  skipped: Record<string, number>;
  /** groups beyond `GROUPS_MAX`, the smallest ones */
  groups_omitted: number;
  /** why there are no figures; left out where there are */
  error?: string | undefined;
}

/** A summary for a reader. Exact JSON text, since a sum may have more digits than a number of JavaScript. */
export interface JobSummary {
  /** the job has not ended */
  partial: boolean;
  /** of a `Summary`; null: the job has no `reduce` */
  text: string | null;
}

/** Whose fault it is that there are no figures; of the last two another attempt may do better. */
export type ReduceFault = 'data' | 'size' | 'time' | 'resources';

/** Exact JSON text of a `Summary`, or why there is none. */
export type Reduced = { text: string } | { fault: ReduceFault; cause?: unknown };

export const GROUPS_MAX = 10_000;

/** Of a group's key or a `top` value, as JSON text; a longer one is shown by its beginning and a hash. */
export const KEY_CHARACTERS_MAX = 1_000;

/** Of all groups, as JSON text; several groups' worth of the longest keys and lists of `top` are far below. */
export const SUMMARY_BYTES_MAX = 32 * 1_048_576;

const FAULTS: Record<ReduceFault, string> = {
  data: 'The results hold values that cannot be aggregated.',
  size: 'The summary would be too large: ask for fewer groups, metrics or values.',
  time: 'The aggregation took too long.',
  resources: 'The aggregation needed more memory or disk than the database has.',
};

/** The summary of results that could not be aggregated, as JSON text. */
export function faultSummary(fault: ReduceFault): string {
  const summary: Summary = { groups: [], skipped: {}, groups_omitted: 0, error: FAULTS[fault] };
  return JSON.stringify(summary);
}

/** `output.a.b` to `['a', 'b']`; `output` itself to `[]`. */
export function outputPath(path: string): string[] {
  return path.split('.').slice(1);
}
