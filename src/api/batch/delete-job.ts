/** `DELETE /v1/jobs/{id}`: gone at once for everybody; what it leaves is removed in the background. */
import { z } from 'zod';
import { noContent } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';

export function deleteJobRoute(): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/jobs/{id}',
    operationId: 'deleteJob',
    summary: 'Delete a job and its data',
    description:
      'One that has ended, or was never started, with its items, results and summary; there is no way back. From then on it is ' +
      'not found, also for an upload or a download under way. Its events stay.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    params: z.strictObject({ id: idParam('job') }),
    responses: { 204: { description: 'The job is gone' } },
    errors: ['not_found', 'job_not_ended', 'job_in_use'],
    handler: ({ params, principal, transact }) =>
      transact(async ({ jobs }) => {
        await jobs.remove({ tenantId: principal.tenantId, jobId: params.id });
        return noContent();
      }),
  });
}
