/** Types of events as a list asks for them: an index is looked up by exact types and by ranges. */
export interface TypePatterns {
  exact: readonly string[];
  /** with the dot: `job.` */
  prefixes: readonly string[];
}

const BELOW = '.*';

/** @param patterns as `isTypePattern` has them. @returns undefined: all types */
export function toTypePatterns(patterns: readonly string[]): TypePatterns | undefined {
  if (patterns.includes('*')) return undefined;
  const isBelow = (pattern: string): boolean => pattern.endsWith(BELOW);
  return {
    exact: patterns.filter((pattern) => !isBelow(pattern)),
    prefixes: patterns.filter(isBelow).map((pattern) => pattern.slice(0, -1)),
  };
}
