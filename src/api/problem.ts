/** Problem details (RFC 9457): the one writer of error bodies. `type` is a page that this API serves, or a name others know. */
import {
  type AppError,
  type CatalogEntry,
  ERROR_CATALOG,
  type ErrorDetail,
  isAppError,
} from '../domain/errors';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance: string;
  code: string;
  request_id: string;
  errors?: readonly ErrorDetail[];
  /** spelled as the draft on RateLimit fields has it */
  'violated-policies'?: readonly string[];
}

export interface Problem {
  status: number;
  headers: Record<string, string>;
  body: ProblemBody;
}

export interface Occurrence {
  requestId: string;
  /** path of the request, without its query */
  instance: string;
}

const UNKNOWN = {
  code: 'internal',
  detail: 'The request failed for a reason on our side. The request id finds it in the log.',
} as const;

/** Whatever was thrown as a problem; what is no AppError shows nothing of itself. */
export function toProblem(error: unknown, occurrence: Occurrence): Problem {
  const known: Pick<AppError, 'code' | 'detail'> & Partial<AppError> = isAppError(error) ? error : UNKNOWN;
  const { status, title, type }: CatalogEntry = ERROR_CATALOG[known.code];
  return {
    status,
    headers: headersFor(status, known),
    body: {
      type: type ?? `/problems/${known.code}`,
      title,
      status,
      detail: known.detail,
      instance: occurrence.instance,
      code: known.code,
      request_id: occurrence.requestId,
      ...(known.errors === undefined ? {} : { errors: known.errors }),
      ...(known.violatedPolicies === undefined ? {} : { 'violated-policies': known.violatedPolicies }),
    },
  };
}

function headersFor(
  status: number,
  error: Pick<AppError, 'code'> & Partial<AppError>,
): Record<string, string> {
  const headers: Record<string, string> = { 'Content-Type': PROBLEM_MEDIA_TYPE, 'Cache-Control': 'no-store' };
  if (error.retryAfterSeconds !== undefined)
    headers['Retry-After'] = String(Math.ceil(error.retryAfterSeconds));
  // RFC 6750 §3: the challenge, with what is wrong where something was tried.
  if (status === 401) headers['WWW-Authenticate'] = `Bearer realm="millrace"${tokenError(error.code)}`;
  return headers;
}

const TOKEN_ERRORS: ReadonlySet<string> = new Set([
  'key_expired',
  'key_revoked',
  'invalid_chunk_token',
  'chunk_token_expired',
]);

function tokenError(code: string): string {
  return TOKEN_ERRORS.has(code) ? ', error="invalid_token"' : '';
}
