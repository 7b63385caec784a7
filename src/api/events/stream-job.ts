/** `GET /v1/jobs/{id}/events`: a job's progress as server-sent events. */
import { z } from 'zod';
import { isFinal } from '../../domain/batch/status';
import { parseCursor } from '../../domain/realtime/topic-log';
import { noContent, taken } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import type { JobStreams, Start } from './job-streams';
import type { JobRef, ReadJob } from './ports';

export interface StreamJobDeps {
  streams: JobStreams;
  readJob: ReadJob;
}

const query = z.strictObject({
  last_event_id: z
    .string()
    .optional()
    .describe('Resume after this id, where no Last-Event-ID header can be sent'),
  lastEventId: z.string().optional().describe('The same, as EventSource polyfills name it'),
});

const EXAMPLE = [
  ':ok',
  '',
  'retry: 2000',
  'event: snapshot',
  'id: 1767225600000000',
  'data: {"id":"job_01k6z7q0v8e2m9x4t5c3b1a0n7","status":"running","counts":{"total":1000,"succeeded":250}}',
  '',
  'event: progress',
  'id: 1767225600250000',
  'data: {"type":"job.progress","job_id":"job_01k6z7q0v8e2m9x4t5c3b1a0n7","counts":{"total":1000,"succeeded":500}}',
  '',
].join('\n');

export function streamJobRoute({ streams, readJob }: StreamJobDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/jobs/{id}/events',
    operationId: 'streamJobEvents',
    summary: 'Follow a job',
    description:
      'Server-sent events. `snapshot` (the job) comes first, then `progress` (at most 4 a second) and `status` (the job changed), ' +
      'last `done` (the job as it ended), after which the stream ends. With a cursor, what came after it is sent instead of a ' +
      'snapshot; a cursor that the log does not know gets `reset` and a new snapshot. A client that has seen `done` gets 204.',
    tags: ['jobs'],
    scopes: ['jobs:read'],
    // A HEAD would have to answer like the stream, and be counted as one.
    head: false,
    params: z.strictObject({ id: idParam('job') }),
    query,
    errors: ['not_found'],
    responses: {
      200: {
        description: 'The stream',
        contentType: 'text/event-stream',
        schema: z.string(),
        example: EXAMPLE,
      },
      204: { description: 'The job has ended and the client has seen it all' },
    },
    handler: async ({ params, query: asked, principal, ctx }) => {
      const ref: JobRef = { tenantId: principal.tenantId, jobId: params.id };
      const job = await readJob(ref);
      // The header is the newer: a reconnecting EventSource sends it with the address it started from.
      const start = startOf(ctx.get('Last-Event-ID') || asked.last_event_id || asked.lastEventId);
      if (typeof start === 'number' && isFinal(job.status) && (await hasEnded(streams, ref, start))) {
        return noContent();
      }
      streams.open(ref, { req: ctx.req, res: ctx.res }, start);
      return taken();
    },
  });
}

function startOf(cursor: string | undefined): Start {
  if (cursor === undefined || cursor === '') return 'now';
  return parseCursor(cursor) ?? 'unknown';
}

/** While Redis is away nobody can tell; the stream then shows the job as it ended. */
async function hasEnded(streams: JobStreams, ref: JobRef, cursor: number): Promise<boolean> {
  return streams.hasEnded(ref, cursor).catch(() => false);
}
