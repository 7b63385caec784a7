/** `POST /v1/jobs/{id}/start|cancel`: what is wanted goes into the row, then the workflow is told. */
import { z } from 'zod';
import type { Job } from '../../domain/batch/job';
import { isFinal } from '../../domain/batch/status';
import { accepted } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { type JobBodyDeps, jobPath, toJobBody } from './job-body';
import type { JobEngine } from './ports';
import { jobSchema } from './schema';
import { startWorkflow, wakeWorkflow } from './start-workflow';

export interface ControlJobDeps extends JobBodyDeps {
  engine: Pick<JobEngine, 'start' | 'wake'>;
}

export function startJobRoute(deps: ControlJobDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/jobs/{id}/start',
    operationId: 'startJob',
    summary: 'Start a job',
    description: 'Seals its items. Starting a started job changes nothing.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    params: z.strictObject({ id: idParam('job') }),
    responses: { 202: { description: 'The job; it runs', schema: jobSchema } },
    errors: ['not_found', 'job_has_no_items', 'job_already_ended'],
    handler: async ({ params, principal, transact, log }) => {
      let started: Job | undefined;
      const answer = await transact(async ({ jobs }) => {
        started = await jobs.start({ tenantId: principal.tenantId, jobId: params.id });
        return accepted(toJobBody(deps, started, principal), jobPath(started.id));
      });
      if (started !== undefined) startWorkflow(deps.engine, started, log);
      return answer;
    },
  });
}

export function cancelJobRoute(deps: ControlJobDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/jobs/{id}/cancel',
    operationId: 'cancelJob',
    summary: 'Cancel a job',
    description:
      'Items that have not begun are cancelled, those in flight are told to stop; results so far are kept. A job that was ' +
      'never started is cancelled at once. Cancelling a cancelling job changes nothing.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    params: z.strictObject({ id: idParam('job') }),
    responses: { 202: { description: 'The job; it comes to its end', schema: jobSchema } },
    errors: ['not_found', 'job_already_ended'],
    handler: async ({ params, principal, transact, log }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      let asked: Job | undefined;
      const answer = await transact(async ({ jobs }) => {
        asked = await jobs.cancel(ref);
        return accepted(toJobBody(deps, asked, principal), jobPath(asked.id));
      });
      if (asked !== undefined && !isFinal(asked.status)) wakeWorkflow(deps.engine, ref, log);
      return answer;
    },
  });
}
