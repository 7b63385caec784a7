/** `PUT /v1/jobs/{id}/items`: streamed from the socket into the database, memory flat, all or nothing. */
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { Job, JobRef } from '../../domain/batch/job';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { bodyTooLarge, decoderFor, parserFor, UPLOAD_MEDIA_TYPES, upToBytes } from './ingest/content';
import type { ItemLimits } from './ingest/limits';
import { closeAfterAnswer, type LingerLimits } from '../linger';
import { type Pace, requestBody } from './ingest/request-body';
import type { UploadGate } from './ingest/upload-gate';
import { utf8Blocks } from './ingest/utf8';
import { type JobBodyDeps, toJobBody } from './job-body';
import type { ItemStore } from './ports';
import { jobSchema } from './schema';

export interface UploadLimits extends ItemLimits {
  /** of the whole upload, unpacked */
  bytesMax: number;
  pace: Pace;
  /** what is read on after an upload was refused */
  linger: LingerLimits;
}

export interface PutItemsDeps extends JobBodyDeps {
  items: Pick<ItemStore, 'upload'>;
  gate: UploadGate;
  limits: UploadLimits;
}

interface Upload {
  ref: JobRef;
  planMax: number | null;
  req: IncomingMessage;
}

export function putItemsRoute(deps: PutItemsDeps): Route {
  return defineRoute({
    method: 'put',
    path: '/v1/jobs/{id}/items',
    operationId: 'putJobItems',
    summary: "Upload a job's items",
    description:
      'NDJSON, CSV with a header, or one JSON array, by Content-Type; Content-Encoding gzip is taken. All of it or nothing: ' +
      'a fault is answered with its physical line. It replaces what an earlier upload brought.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    cost: 10,
    params: z.strictObject({ id: idParam('job') }),
    rawBody: UPLOAD_MEDIA_TYPES,
    responses: { 200: { description: 'The job; `counts.total` is the number of items', schema: jobSchema } },
    errors: [
      ...(['not_found', 'job_not_open', 'malformed_json', 'malformed_ndjson', 'malformed_csv'] as const),
      ...(['upload_incomplete', 'upload_too_slow', 'body_too_large', 'item_too_large'] as const),
      ...([
        'invalid_item',
        'duplicate_custom_id',
        'not_storable',
        'too_many_items',
        'too_many_uploads',
      ] as const),
    ],
    handler: async ({ params, principal, ctx }) => {
      const ref = { tenantId: principal.tenantId, jobId: params.id };
      const planMax = principal.plan.limits.itemsPerJob;
      try {
        return ok(toJobBody(deps, await takeUpload(deps, { ref, planMax, req: ctx.req }), principal));
      } catch (error) {
        if (!ctx.req.readableEnded) closeAfterAnswer(ctx.req, ctx.res, deps.limits.linger);
        throw error;
      }
    },
  });
}

async function takeUpload(
  { items, gate, limits }: PutItemsDeps,
  { ref, planMax, req }: Upload,
): Promise<Job> {
  const parse = parserFor(req.headers);
  const decode = decoderFor(req.headers);
  if (Number(req.headers['content-length']) > limits.bytesMax) throw bodyTooLarge(limits.bytesMax);
  const leave = gate.enter(ref.tenantId);
  const body = requestBody(req, limits.pace);
  try {
    const bytes = upToBytes(decode(body.chunks), limits.bytesMax);
    return await items.upload(ref, parse(utf8Blocks(bytes), limits), planMax);
  } finally {
    body.release();
    leave();
  }
}
