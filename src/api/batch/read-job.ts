/** `GET /v1/jobs`, `/v1/jobs/{id}`, `/progress` and `/summary`. */
import { z } from 'zod';
import type { Counts, Job, JobRef } from '../../domain/batch/job';
import { newerCounts } from '../../domain/batch/progress';
import type { JobSummary, Summary } from '../../domain/batch/reduce';
import { DRIVEN_STATUSES } from '../../domain/batch/status';
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { decodeCursor, toPage } from '../paging';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageSchema } from '../schema';
import { foretold, type JobBodyDeps, type JobViewer, toJobBody } from './job-body';
import type { JobEngine, JobStore } from './ports';
import { jobListQuery, jobSchema, progressSchema, summarySchema } from './schema';

export interface ReadJobDeps extends JobBodyDeps {
  jobs: Pick<JobStore, 'find' | 'list' | 'summary'>;
  engine: Pick<JobEngine, 'progress'>;
  /** Where the realtime log stands; undefined where that cannot be told. */
  latestCursor(): number | undefined | Promise<number | undefined>;
}

const params = z.strictObject({ id: idParam('job') });

export function listJobsRoute(deps: ReadJobDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs',
    operationId: 'listJobs',
    summary: 'List jobs',
    description: 'Newest first.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    query: jobListQuery,
    responses: { 200: { description: 'A page of jobs', schema: pageSchema(jobSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query, principal }) => {
      const { status, handler, cursor, limit = PAGE_LIMIT_DEFAULT } = query;
      const list = `jobs?${JSON.stringify([status, handler])}`;
      const after = cursor === undefined ? undefined : jobIdIn(decodeCursor(list, cursor));
      const { tenantId } = principal;
      const rows = await deps.jobs.list({ tenantId, status, handler, after, limit: limit + 1 });
      const page = toPage(list, rows, { limit, positionOf: (job) => job.id });
      return ok({ ...page, data: page.data.map((job) => toJobBody(deps, job, principal)) });
    },
  });
}

function jobIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('job', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

export function getJobRoute(deps: ReadJobDeps): Route {
  const textOf = createJobTexts(deps);
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}',
    operationId: 'getJob',
    summary: 'Get a job',
    description:
      'Its `links.events` carries a cursor until the job has ended: who follows it gets what happened after this answer, ' +
      'with no gap in between.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    params,
    responses: { 200: { description: 'The job', schema: jobSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal }) => {
      // Before the job is read: an older cursor only tells again what the answer shows already.
      const latest = deps.latestCursor();
      const cursor = typeof latest === 'object' ? await latest : latest;
      const job = await deps.jobs.find({ tenantId: principal.tenantId, jobId: id });
      return { kind: 'json', status: 200, jsonText: textOf(job, { scopes: principal.scopes, cursor }) };
    },
  });
}

/**
 * Those who ask together get one `Job`, and here one text of it, with the cursor of one of them; whoever may see more than others
 * gets another.
 */
function createJobTexts(deps: ReadJobDeps): (job: Job, asker: JobViewer) => string {
  const forAdmins = new WeakMap<Job, string>();
  const forOthers = new WeakMap<Job, string>();
  return (job, asker) => {
    const texts = asker.scopes.includes('admin') ? forAdmins : forOthers;
    let text = texts.get(job);
    if (text === undefined) {
      text = JSON.stringify(toJobBody(deps, job, asker));
      texts.set(job, text);
    }
    return text;
  };
}

export function getProgressRoute(deps: ReadJobDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/progress',
    operationId: 'getJobProgress',
    summary: "Get a job's progress",
    description: 'Asks the running workflow; where that cannot answer in time, the database does.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    params,
    responses: { 200: { description: 'How far it is', schema: progressSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal }) => {
      const { job, reported } = await progressOf(deps, { tenantId: principal.tenantId, jobId: id });
      const counts = reported === undefined ? job.counts : newerCounts(job.counts, reported);
      const source = counts === reported ? 'workflow' : 'rows';
      return ok({ job_id: id, status: job.status, counts, ...foretold(deps, job, counts), source });
    },
  });
}

/** The row is read again after the workflow was asked: should the job have ended in between, the row knows more. */
async function progressOf(
  deps: ReadJobDeps,
  ref: JobRef,
): Promise<{ job: Job; reported: Counts | undefined }> {
  const job = await deps.jobs.find(ref);
  if (!DRIVEN_STATUSES.includes(job.status)) return { job, reported: undefined };
  const reported = await deps.engine.progress(ref).catch(() => undefined);
  return { job: await deps.jobs.find(ref), reported };
}

export function getSummaryRoute(deps: ReadJobDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/summary',
    operationId: 'getJobSummary',
    summary: "Get the aggregation of a job's results",
    description:
      'As its `reduce` asks; of what is there while the job runs. A job without `reduce` has no groups. Numbers have all ' +
      'their digits: read them with a parser that keeps more than a double does, where it matters. Where the results cannot ' +
      'be aggregated, or, while the job runs, not within 30 s, there is an `error` in place of groups.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    params,
    responses: { 200: { description: 'The summary', schema: summarySchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal }) => {
      const summary = await deps.jobs.summary({ tenantId: principal.tenantId, jobId: id });
      return { kind: 'json', status: 200, jsonText: toSummaryText(id, summary) };
    },
  });
}

const NO_GROUPS: Summary = { groups: [], skipped: {}, groups_omitted: 0 };

/** By hand: the summary is JSON text already, and a detour over values would cost its numbers digits. */
function toSummaryText(jobId: string, { partial, text }: JobSummary): string {
  const summary = text ?? JSON.stringify(NO_GROUPS);
  return `{"job_id":${JSON.stringify(jobId)},"partial":${partial},${summary.slice(summary.indexOf('{') + 1)}`;
}
