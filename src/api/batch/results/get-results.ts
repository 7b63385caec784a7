/** `GET /v1/jobs/{id}/results`: streamed page by page, at the client's pace, never in one transaction. */
import { z } from 'zod';
import type { Job, ResultStatus } from '../../../domain/batch/job';
import { isFinal } from '../../../domain/batch/status';
import { stream } from '../../respond';
import { defineRoute, type Route } from '../../route';
import { idParam } from '../../schema';
import type { IndexPage, ItemStore, JobStore, ResultQuery } from '../ports';
import { resultLineSchema, resultsQuery } from '../schema';
import type { ResultRow } from '../../../domain/batch/item';
import { CSV_HEADER, toCsvRows, toNdjsonLine } from './lines';

export interface GetResultsDeps {
  jobs: Pick<JobStore, 'find'>;
  items: Pick<ItemStore, 'results'>;
}

const PAGE_ROWS_FIRST = 128;
const PAGE_ROWS_MAX = 2_048;

const FORMATS = {
  ndjson: { contentType: 'application/x-ndjson', header: '', toText: toNdjsonLines },
  csv: { contentType: 'text/csv; charset=utf-8; header=present', header: CSV_HEADER, toText: toCsvRows },
} as const;

function toNdjsonLines(rows: readonly ResultRow[]): string {
  let text = '';
  for (const row of rows) text += toNdjsonLine(row);
  return text;
}

export function getResultsRoute(deps: GetResultsDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/results',
    operationId: 'getJobResults',
    summary: "Download a job's results",
    description:
      'In the order of the items. While the job runs: what is there, with `X-Partial: true`. Once it has ended each item ' +
      'has a line; one that was never attempted is `cancelled`. A connection that breaks off means an incomplete download.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    params: z.strictObject({ id: idParam('job') }),
    query: resultsQuery,
    responses: {
      200: {
        description: 'The results',
        schema: resultLineSchema,
        contentType: ['application/x-ndjson', 'text/csv'],
        headers: { 'X-Partial': '`true` while the job has not ended' },
      },
    },
    errors: ['not_found'],
    handler: async ({ params, query, principal }) => {
      const job = await deps.jobs.find({ tenantId: principal.tenantId, jobId: params.id });
      const { contentType } = FORMATS[query.format];
      return stream(contentType, download(deps, job, query), {
        'Content-Disposition': `attachment; filename="${job.id}-results.${query.format}"`,
        ...(isFinal(job.status) ? {} : { 'X-Partial': 'true' }),
      });
    },
  });
}

interface Wanted {
  format: keyof typeof FORMATS;
  status?: ResultStatus | undefined;
}

/** The next page is read when the client has taken the last one. */
async function* download(
  deps: GetResultsDeps,
  job: Job,
  { format, status }: Wanted,
): AsyncGenerator<string, void, void> {
  const { header, toText } = FORMATS[format];
  if (header !== '') yield header;
  const query: Omit<ResultQuery, 'from' | 'limit'> = {
    tenantId: job.tenant_id,
    jobId: job.id,
    status,
    // Decided once, so that a job that ends under the download makes no lines of items it has passed.
    ended: isFinal(job.status),
    total: job.counts.total,
  };
  let limit = PAGE_ROWS_FIRST;
  for (let from: number | null = 0; from !== null; ) {
    const { rows, next }: IndexPage<ResultRow> = await deps.items.results({ ...query, from, limit });
    if (rows.length > 0) yield toText(rows);
    // Pages of large outputs are cut to their bytes: asking for no more than fits spares reading them in vain.
    const cut = rows.length < limit && next !== null && next - 1 === rows.at(-1)?.index;
    limit = Math.min(PAGE_ROWS_MAX, 2 * (cut ? rows.length : limit));
    from = next;
  }
}
