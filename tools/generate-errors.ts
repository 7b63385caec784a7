import { ENGINE_CODES, ERROR_ADVICE, ITEM_CODES, JOB_CODES } from '../src/api/system/error-advice';
import { ERROR_CATALOG, type ErrorCode } from '../src/domain/errors';

const INTRO = `# Errors

Made from \`src/domain/errors.ts\` by \`npm run generate\`; do not edit.

Every error of the API is a problem (RFC 9457, \`application/problem+json\`):

\`\`\`json
{
  "type": "/problems/validation_failed",
  "title": "The request is invalid",
  "status": 422,
  "detail": "/handler: expected string",
  "instance": "/v1/jobs",
  "code": "validation_failed",
  "request_id": "req_01k6z7q0v8e2m9x4t5c3b1a0n7",
  "errors": [{ "pointer": "/handler", "detail": "expected string" }]
}
\`\`\`

\`code\` is what a program should look at; \`type\` is a page that this API serves. \`errors\` names places: a JSON pointer into
the body, a query parameter, or the physical line of an upload. "Again?" says whether the same request may succeed later.
`;

const RESULT_INTRO = 'In the `error.code` of a result line: one item failed, the job goes on.';
const JOB_INTRO = 'In the `error.code` of a job that ended so.';

/** docs/errors.md */
export function errorsMarkdown(): string {
  const codes = Object.keys(ERROR_CATALOG) as ErrorCode[];
  const apart = new Set([...ITEM_CODES, ...JOB_CODES, ...ENGINE_CODES]);
  const ofRequests = codes.filter((code) => !apart.has(code)).sort((a, b) => statusOf(a) - statusOf(b));
  return [
    INTRO,
    '## Of requests\n',
    '| code | status | meaning | what to do | again? |\n| --- | --- | --- | --- | --- |',
    ...ofRequests.map(
      (code) => `| \`${code}\` | ${statusOf(code)} | ${title(code)} | ${advice(code)} | ${again(code)} |`,
    ),
    ...section('Of items', RESULT_INTRO, ITEM_CODES),
    ...section('Of jobs', JOB_INTRO, JOB_CODES),
    ...section('Inside the engine', 'In logs and in the Temporal UI only.', ENGINE_CODES),
    '',
  ].join('\n');
}

function section(heading: string, intro: string, codes: readonly ErrorCode[]): string[] {
  const head = '| code | meaning | what to do |\n| --- | --- | --- |';
  const rows = codes.map((code) => `| \`${code}\` | ${title(code)} | ${advice(code)} |`);
  return [`\n## ${heading}\n`, `${intro}\n`, head, ...rows];
}

function statusOf(code: ErrorCode): number {
  return ERROR_CATALOG[code].status;
}

function title(code: ErrorCode): string {
  return ERROR_CATALOG[code].title;
}

function advice(code: ErrorCode): string {
  return (ERROR_ADVICE[code] ?? '').replaceAll('|', '\\|');
}

function again(code: ErrorCode): string {
  return ERROR_CATALOG[code].retryable ? 'yes' : 'no';
}
