/** Findings of a zod schema as the errors of a problem. */
import type { z } from 'zod';
import type { ErrorDetail } from '../domain/errors';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** @param at how a place is named: a JSON pointer into the body or a query parameter */
export function toErrorDetails(error: z.ZodError, at: 'pointer' | 'parameter'): ErrorDetail[] {
  const place = at === 'pointer' ? byPointer : byParameter;
  return error.issues.flatMap((issue) => findings(issue, []).map(({ path, detail }) => place(path, detail)));
}

interface Finding {
  path: Path;
  detail: string;
}

function findings(issue: Issue, base: Path): Finding[] {
  const path = [...base, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], detail: 'unknown here' }));
  }
  if (issue.code === 'invalid_union') return unionFindings(issue, path);
  if (issue.code === 'invalid_key')
    return [{ path, detail: `not a valid name: ${issue.issues[0]?.message}` }];
  return [{ path, detail: issue.message }];
}

/** Of a union, the branch that got furthest is the one that was meant; of two, the one that knows more of the fields. */
function unionFindings(issue: z.core.$ZodIssueInvalidUnion, path: Path): Finding[] {
  const reach = (issues: readonly Issue[]): number => Math.max(0, ...issues.map((i) => i.path.length));
  const unknown = (issues: readonly Issue[]): number =>
    issues.reduce((n, one) => n + (one.code === 'unrecognized_keys' ? one.keys.length : 0), 0);
  const best = [...issue.errors].sort((a, b) => reach(b) - reach(a) || unknown(a) - unknown(b))[0];
  if (best === undefined || reach(best) === 0) return [{ path, detail: issue.message }];
  return best.flatMap((inner) => findings(inner, path));
}

function byPointer(path: Path, detail: string): ErrorDetail {
  return { pointer: toPointer(path), detail };
}

function byParameter(path: Path, detail: string): ErrorDetail {
  return { parameter: String(path[0] ?? ''), detail };
}

/** RFC 6901. */
export function toPointer(path: Path): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}
