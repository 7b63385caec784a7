/** `GET /v1/jobs/{id}/results`: streamed page by page, at the client's pace, never in one transaction. */
import { z } from 'zod';
import type { Job } from '../../../domain/batch/job';
import { isFinal } from '../../../domain/batch/status';
import { type AnswerHeaders, stream } from '../../respond';
import { defineRoute, type Route } from '../../route';
import { idParam } from '../../schema';
import type { JobStore } from '../ports';
import { resultLineSchema } from '../schema';
import { CSV_HEADER, toCsvRecords } from './csv';
import { resultPages } from './pages';
import { type ParquetDeps, parquetFile } from './parquet';
import type { ResultReads } from './ports';
import { firstIndex, type ResultsQuery, resultsQuery } from './results-query';

export interface GetResultsDeps extends ParquetDeps {
  jobs: Pick<JobStore, 'find'>;
  items: ResultReads;
}

const DESCRIPTION =
  'In the order of the items. While the job runs: what is there, with `X-Partial: true`. Once it has ended each item has a ' +
  'line; one that was never attempted is `cancelled`. A connection that breaks off means an incomplete download; where the ' +
  'answer had `X-Resumable: true` it can be gone on with, see `cursor`.\n\nCSV: text that a spreadsheet would take for a ' +
  'formula begins with an apostrophe. Parquet: a column for each field of the outputs (`output.<field>`), typed by all of ' +
  'its values. NDJSON and CSV come compressed to those who send `Accept-Encoding: gzip`.';

export function getResultsRoute(deps: GetResultsDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/results',
    operationId: 'getJobResults',
    summary: "Download a job's results",
    description: DESCRIPTION,
    tags: ['jobs'],
    scopes: ['jobs:read'],
    cost: 5,
    params: z.strictObject({ id: idParam('job') }),
    query: resultsQuery,
    responses: {
      200: {
        description: 'The results',
        schema: resultLineSchema,
        contentType: ['application/x-ndjson', 'text/csv', 'application/vnd.apache.parquet'],
        headers: {
          'X-Partial': '`true` while the job has not ended',
          'X-Resumable': '`true` where a download that breaks off can be gone on with by `cursor`',
        },
      },
    },
    errors: ['not_found', 'job_not_ended', 'too_many_downloads'],
    handler: async ({ params, query, principal }) => {
      const job = await deps.jobs.find({ tenantId: principal.tenantId, jobId: params.id });
      const { contentType, chunks, compress } = download(deps, job, query);
      return { ...stream(contentType, chunks, headersOf(job, query)), compress };
    },
  });
}

function headersOf(job: Job, { format }: ResultsQuery): AnswerHeaders {
  const ended = isFinal(job.status);
  return {
    'Content-Disposition': `attachment; filename="${job.id}-results.${format}"`,
    ...(ended ? {} : { 'X-Partial': 'true' }),
    ...(ended && format !== 'parquet' ? { 'X-Resumable': 'true' } : {}),
  };
}

interface Download {
  contentType: string;
  chunks: AsyncIterable<string | Uint8Array>;
  compress: boolean;
}

function download(deps: GetResultsDeps, job: Job, query: ResultsQuery): Download {
  const from = firstIndex(job, query);
  const pages = (): AsyncIterable<string> =>
    resultPages(deps.items, {
      tenantId: job.tenant_id,
      jobId: job.id,
      status: query.status,
      // Decided once, so that a job that ends under the download makes no lines of items it has passed.
      ended: isFinal(job.status),
      total: job.counts.total,
      from,
    });
  switch (query.format) {
    case 'ndjson':
      return { contentType: 'application/x-ndjson', chunks: pages(), compress: true };
    case 'csv': {
      const header = from === 0;
      const contentType = `text/csv; charset=utf-8; header=${header ? 'present' : 'absent'}`;
      return { contentType, chunks: csvRecords(pages(), header), compress: true };
    }
    case 'parquet': {
      const chunks = parquetFile(deps, { tenantId: job.tenant_id, pages });
      // Its pages are compressed.
      return { contentType: 'application/vnd.apache.parquet', chunks, compress: false };
    }
  }
}

async function* csvRecords(
  pages: AsyncIterable<string>,
  header: boolean,
): AsyncGenerator<string, void, void> {
  if (header) yield CSV_HEADER;
  for await (const lines of pages) yield toCsvRecords(lines);
}
