/** `POST /v1/jobs/{id}/start|pause|resume|cancel`: what is wanted goes into the row, then the workflow is told. */
import { z } from 'zod';
import type { Job } from '../../domain/batch/job';
import { DRIVEN_STATUSES } from '../../domain/batch/status';
import type { ErrorCode } from '../../domain/errors';
import { accepted } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { type JobBodyDeps, jobPath, toJobBody } from './job-body';
import type { JobEngine, JobStore } from './ports';
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
    description:
      'Seals its items and reserves them from the quota of the month. Over quota the job stays as it is and can be started ' +
      'later. Starting a started job changes nothing.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    params: z.strictObject({ id: idParam('job') }),
    responses: { 202: { description: 'The job; it runs', schema: jobSchema } },
    errors: ['not_found', 'job_has_no_items', 'job_already_ended', 'too_many_items', 'quota_exceeded'],
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

export function pauseJobRoute(deps: ControlJobDeps): Route {
  return controlRoute(deps, {
    verb: 'pause',
    summary: 'Pause a job',
    description:
      'Nothing new is begun; items in flight come to their end, results so far are kept. A pause has no end of its own, but ' +
      'the clock of `expires_in_seconds` goes on. Pausing a paused job changes nothing.',
    answered: 'The job; it is paused',
    errors: ['job_not_started', 'job_already_ended'],
  });
}

export function resumeJobRoute(deps: ControlJobDeps): Route {
  return controlRoute(deps, {
    verb: 'resume',
    summary: 'Resume a paused job',
    description: 'It waits its turn like a started one. Resuming a job that is not paused changes nothing.',
    answered: 'The job; it goes on',
    errors: ['job_not_started', 'job_already_ended'],
  });
}

export function cancelJobRoute(deps: ControlJobDeps): Route {
  return controlRoute(deps, {
    verb: 'cancel',
    summary: 'Cancel a job',
    description:
      'Items that have not begun are cancelled, those in flight are told to stop; results so far are kept. A job that was ' +
      'never started is cancelled at once. Cancelling a cancelling job changes nothing.',
    answered: 'The job; it comes to its end',
    errors: ['job_already_ended'],
  });
}

interface ControlSpec {
  verb: keyof Pick<JobStore, 'pause' | 'resume' | 'cancel'>;
  summary: string;
  description: string;
  answered: string;
  errors: readonly ErrorCode[];
}

function controlRoute(deps: ControlJobDeps, spec: ControlSpec): Route {
  const { verb, summary, description, answered, errors } = spec;
  return defineRoute({
    method: 'post',
    path: `/v1/jobs/{id}/${verb}`,
    operationId: `${verb}Job`,
    summary,
    description,
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    params: z.strictObject({ id: idParam('job') }),
    responses: { 202: { description: answered, schema: jobSchema } },
    errors: ['not_found', ...errors],
    handler: async ({ params, principal, transact, log }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      let asked: Job | undefined;
      const answer = await transact(async ({ jobs }) => {
        asked = await jobs[verb](ref);
        return accepted(toJobBody(deps, asked, principal), jobPath(asked.id));
      });
      if (asked !== undefined && DRIVEN_STATUSES.includes(asked.status)) wakeWorkflow(deps.engine, ref, log);
      return answer;
    },
  });
}
