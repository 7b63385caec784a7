/** The aggregation of a job's results: its definition (`reduce`) and its outcome (`summary`). DESIGN §6. */
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
  metrics: Record<string, unknown>;
}

/** Values that are missing or not numeric are left out and counted in `skipped`, by metric. */
export interface Summary {
  groups: SummaryGroup[];
  skipped: Record<string, number>;
  /** groups beyond `GROUPS_MAX`, the smallest ones */
  groups_omitted: number;
}

export const GROUPS_MAX = 10_000;

/** `output.a.b` to `['a', 'b']`; `output` itself to `[]`. */
export function outputPath(path: string): string[] {
  return path.split('.').slice(1);
}
