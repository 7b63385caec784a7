/** Which types of events somebody wants: exact ones (`job.completed`), all that begin alike (`job.*`), or all (`*`). */

/** Patterns sorted by what they are, none of them within another. */
export interface TypePatterns {
  exact: readonly string[];
  /** with the dot: `job.` */
  prefixes: readonly string[];
}

export interface TypeFilter {
  passes(type: string): boolean;
}

/** Words of letters, digits, `_` and `-`, joined by dots. */
const PATTERN = /^(?:[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)*(?:\.\*)?|\*)$/;
export const TYPE_PATTERN_LENGTH_MAX = 128;
const BELOW = '.*';

export function isTypePattern(text: string): boolean {
  return text.length <= TYPE_PATTERN_LENGTH_MAX && PATTERN.test(text);
}

/** @param patterns each as `isTypePattern` has it. @returns undefined: all types */
export function toTypePatterns(patterns: readonly string[]): TypePatterns | undefined {
  if (patterns.includes('*')) return undefined;
  const beginnings = patterns.filter((pattern) => pattern.endsWith(BELOW)).map((text) => text.slice(0, -1));
  const isWithin = (text: string): boolean =>
    beginnings.some((prefix) => prefix !== text && text.startsWith(prefix));
  const apart = (texts: readonly string[]): string[] => [...new Set(texts)].filter((text) => !isWithin(text));
  return {
    exact: apart(patterns.filter((pattern) => !pattern.endsWith(BELOW))),
    prefixes: apart(beginnings),
  };
}

/** @param patterns each as `isTypePattern` has it; `job.*` passes `job.created` and `job.a.b`, not `job` */
export function typeFilter(patterns: readonly string[]): TypeFilter {
  const wanted = toTypePatterns(patterns);
  if (wanted === undefined) return { passes: () => true };
  const exact = new Set(wanted.exact);
  return {
    passes: (type) => exact.has(type) || wanted.prefixes.some((prefix) => type.startsWith(prefix)),
  };
}
