/** Which types of events somebody wants: exact ones (`job.completed`), all that begin alike (`job.*`), or all (`*`). */

export interface TypeFilter {
  passes(type: string): boolean;
}

/** Words of letters, digits, `_` and `-`, joined by dots. */
const PATTERN = /^(?:[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)*(?:\.\*)?|\*)$/;
export const TYPE_PATTERN_LENGTH_MAX = 128;

export function isTypePattern(text: string): boolean {
  return text.length <= TYPE_PATTERN_LENGTH_MAX && PATTERN.test(text);
}

/** @param patterns each as `isTypePattern` has it; `job.*` passes `job.created` and `job.a.b`, not `job` */
export function typeFilter(patterns: readonly string[]): TypeFilter {
  const all = patterns.includes('*');
  const starts = patterns.filter((pattern) => pattern.endsWith('.*')).map((pattern) => pattern.slice(0, -1));
  const exact = new Set(patterns);
  return {
    passes: (type) => all || exact.has(type) || starts.some((start) => type.startsWith(start)),
  };
}
