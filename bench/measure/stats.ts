export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** (max - min) ÷ median. */
  readonly spread: number;
}

export function median(values: readonly number[]): number {
  const sorted = ascending(values);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The least value that at least `share` (0 to 1) of all values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  return ascending(values)[Math.max(0, Math.ceil(share * values.length) - 1)] ?? Number.NaN;
}

export function summarise(values: readonly number[]): Summary {
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const middle = median(values);
  return { median: middle, min, max, spread: (max - min) / middle };
}

function ascending(values: readonly number[]): number[] {
  return [...values].sort((left, right) => left - right);
}
