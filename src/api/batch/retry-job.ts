/** `POST /v1/jobs/{id}/retry`: a job that does again what did not succeed. */
import { z } from 'zod';
import type { Job } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { accepted } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { type JobBodyDeps, jobPath, toJobBody } from './job-body';
import { optionsOver } from './options-schema';
import type { HandlerCatalogue, JobEngine } from './ports';
import { jobRetrySchema, jobSchema } from './schema';
import { startWorkflow } from './start-workflow';

export interface RetryJobDeps extends JobBodyDeps {
  engine: Pick<JobEngine, 'start'>;
  handlers: HandlerCatalogue;
  newJobId(): string;
}

const EXAMPLE = { name: 'second try', options: { max_rps: 10, retry: { max_attempts: 5 } } };

export function retryJobRoute(deps: RetryJobDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/jobs/{id}/retry',
    operationId: 'retryJob',
    summary: 'Do again what did not succeed',
    description:
      'Makes a job of the failed and the cancelled items of an ended one and starts it at once: `parent_job_id` names the ' +
      'ended job, handler, params and reduce are its own, each item keeps its input and its `custom_id`, `index` counts from 0 ' +
      'again. What the body leaves out is as it was, also within `options`. A job has one retry: asked again, the answer is ' +
      'that same job, whatever the body. What fails once more is retried from there.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    params: z.strictObject({ id: idParam('job') }),
    body: jobRetrySchema,
    bodyExample: EXAMPLE,
    responses: {
      202: {
        description: 'The new job; it runs',
        schema: jobSchema,
        headers: { Location: 'Address of the new job' },
      },
    },
    errors: [
      ...(['not_found', 'job_not_ended', 'nothing_to_retry', 'unknown_handler'] as const),
      ...(['too_many_items', 'quota_exceeded'] as const),
    ],
    handler: async ({ params, body, principal, transact, log }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      let made: Job | undefined;
      const answer = await transact(async ({ jobs }) => {
        const parent = await jobs.find(ref);
        const options = optionsOver(parent.options, body?.options ?? {});
        const asked = { name: body?.name, metadata: body?.metadata, options };
        const wish = { id: deps.newJobId(), keyId: principal.keyId, ...asked };
        const retried = await jobs.retry(ref, wish);
        if (retried.made) made = checked(deps.handlers, retried.job);
        return accepted(toJobBody(deps, retried.job, principal), jobPath(retried.job.id));
      });
      if (made !== undefined) startWorkflow(deps.engine, made, log);
      return answer;
    },
  });
}

/** Its params were checked when the ended job was made; the handler may have been taken away since. */
function checked(handlers: HandlerCatalogue, job: Job): Job {
  if (handlers.find(job.handler) !== undefined) return job;
  throw new AppError('unknown_handler', `There is no handler ${JSON.stringify(job.handler)} any more.`);
}
