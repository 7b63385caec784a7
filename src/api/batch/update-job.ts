/** `PATCH /v1/jobs/{id}`: name, metadata, and the limits that may change while the job runs. */
import { z } from 'zod';
import type { Job } from '../../domain/batch/job';
import { DRIVEN_STATUSES } from '../../domain/batch/status';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import type { ControlJobDeps } from './control-job';
import { toJobBody } from './job-body';
import { jobPatchSchema, jobSchema } from './schema';
import { wakeWorkflow } from './start-workflow';

const EXAMPLE = { options: { max_concurrency: 20, max_rps: 50, tolerated_failure: { percentage: 5 } } };

export function updateJobRoute(deps: ControlJobDeps): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/jobs/{id}',
    operationId: 'updateJob',
    summary: 'Change a job',
    description:
      'What is left out stays as it is. Limits may change until the job is brought to its end, and take effect within two ' +
      'seconds, also on a running job; name and metadata may change at any time. Where nothing differs, nothing changes.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    params: z.strictObject({ id: idParam('job') }),
    body: jobPatchSchema,
    bodyExample: EXAMPLE,
    responses: { 200: { description: 'The job as it is now', schema: jobSchema } },
    errors: ['not_found', 'job_already_ended'],
    handler: async ({ params, body, principal, transact, log }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      let updated: Job | undefined;
      const answer = await transact(async ({ jobs }) => {
        updated = await jobs.update(ref, body);
        return ok(toJobBody(deps, updated, principal));
      });
      if (updated !== undefined && DRIVEN_STATUSES.includes(updated.status)) {
        wakeWorkflow(deps.engine, ref, log);
      }
      return answer;
    },
  });
}
