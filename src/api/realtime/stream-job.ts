/** `GET /v1/jobs/{id}/events`: a job's progress as server-sent events. */
import { z } from 'zod';
import { isFinal } from '../../domain/batch/status';
import { noContent } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { type OpenStreamDeps, openStream, startOf } from './open-stream';
import type { ReadJob } from './ports';
import { streamJobQuery } from './schema';
import type { FollowedTopic, Streams } from './streams';
import { mayFollow, TOPIC_SCOPES } from './topic-name';

export interface StreamJobDeps extends OpenStreamDeps {
  readJob: ReadJob;
}

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

export function streamJobRoute(deps: StreamJobDeps): Route {
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
    scopes: TOPIC_SCOPES.job,
    takesTicket: true,
    // A HEAD would have to answer like the stream, and be counted as one.
    head: false,
    params: z.strictObject({ id: idParam('job') }),
    query: streamJobQuery,
    errors: ['not_found', 'too_many_connections'],
    responses: {
      200: {
        description: 'The stream',
        contentType: 'text/event-stream',
        schema: z.string(),
        example: EXAMPLE,
      },
      204: { description: 'The job has ended and the client has seen it all' },
    },
    handler: async ({ params, query, principal, credential, ctx }) => {
      const topic = mayFollow(
        { kind: 'job', jobId: params.id },
        { principal, topics: credential.ticket?.topics },
      );
      const job = await deps.readJob({ tenantId: topic.tenantId, jobId: params.id });
      const start = startOf(ctx, query);
      if (typeof start === 'number' && isFinal(job.status) && (await hasEnded(deps.streams, topic, start))) {
        return noContent();
      }
      const follow = { start, items: query.items === 'true' };
      return openStream(deps, ctx, { principal, credential, scopes: TOPIC_SCOPES.job, topic, follow });
    },
  });
}

/** While Redis is away nobody can tell; the stream then shows the job as it ended. */
async function hasEnded(streams: Streams, topic: FollowedTopic, cursor: number): Promise<boolean> {
  return streams.hasEnded(topic, cursor).catch(() => false);
}
