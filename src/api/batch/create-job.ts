/** `POST /v1/jobs`: a job, and maybe its items, in one transaction. */
import type { NewJob } from '../../domain/batch/job';
import type { z } from 'zod';
import type { NewItem } from '../../domain/batch/item';
import { DEFAULT_OPTIONS, type Job, type Json } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { type Cipher, sealParams } from '../../domain/handler/secret-params';
import type { Principal } from '../../domain/key/scopes';
import type { Stores } from '../ports';
import { accepted, created } from '../respond';
import { defineRoute, type Route } from '../route';
import { type JobBodyDeps, jobPath, toJobBody } from './job-body';
import { readInlineItems } from './inline-items';
import type { HandlerCatalogue, JobEngine } from './ports';
import { jobCreateSchema, jobSchema } from './schema';
import { startWorkflow } from './start-workflow';

export interface CreateJobDeps extends JobBodyDeps {
  engine: Pick<JobEngine, 'start'>;
  handlers: HandlerCatalogue;
  /** Encrypts secret params; only for handlers of this tenant's jobs are they decrypted. */
  sealFor(tenantId: string): Cipher;
  newJobId(): string;
}

type Wish = z.output<typeof jobCreateSchema>;

const EXAMPLE = {
  handler: 'transform',
  params: { expression: '{ "total": price * quantity }' },
  items: [
    { custom_id: 'order-1', input: { price: 2.5, quantity: 4 } },
    { price: 1, quantity: 3 },
  ],
  reduce: { metrics: { n: { op: 'count' }, revenue: { op: 'sum', path: 'output.total' } } },
};

export function createJobRoute(deps: CreateJobDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/jobs',
    operationId: 'createJob',
    summary: 'Create a job',
    description:
      'With `items` the job starts at once. Without, send them by `PUT /v1/jobs/{id}/items`, then start it.',
    tags: ['jobs'],
    scopes: ['jobs:write'],
    idempotent: true,
    body: jobCreateSchema,
    bodyExample: EXAMPLE,
    responses: {
      201: { description: 'The job; it waits for items', schema: jobSchema },
      202: { description: 'The job; it runs with the items given', schema: jobSchema },
    },
    errors: [
      'unknown_handler',
      'invalid_params',
      'invalid_expression',
      'invalid_item',
      'duplicate_custom_id',
      'too_many_items',
      'quota_exceeded',
    ],
    handler: async ({ body, principal, transact, ctx, log }) => {
      const params = await acceptParams(deps, principal, body);
      const { bodyBytes } = ctx.state as { bodyBytes: Uint8Array };
      const items = body.items === undefined ? undefined : readInlineItems(bodyBytes, principal.plan);
      let made: Job | undefined;
      const answer = await transact(async (stores) => {
        made = await insertJob(stores, toNewJob(deps, principal, { ...body, params }), items);
        const shown = toJobBody(deps, made, principal);
        return items === undefined ? created(jobPath(made.id), shown) : accepted(shown, jobPath(made.id));
      });
      if (made !== undefined && items !== undefined) startWorkflow(deps.engine, made, log);
      return answer;
    },
  });
}

/** The params as they are kept. @throws AppError `unknown_handler`, or what the handler says of them */
async function acceptParams(
  { handlers, sealFor }: CreateJobDeps,
  { tenantId }: Principal,
  wish: Wish,
): Promise<Json> {
  const handler = handlers.find(wish.handler);
  if (handler === undefined) {
    const detail = `There is no handler ${JSON.stringify(wish.handler)}.`;
    throw new AppError('unknown_handler', detail, { errors: [{ pointer: '/handler', detail }] });
  }
  const params = (wish.params ?? {}) as Json;
  await handler.validateParams(params);
  return sealParams(params, handler.secretParams ?? [], sealFor(tenantId));
}

function toNewJob(deps: CreateJobDeps, principal: Principal, wish: Wish & { params: Json }): NewJob {
  return {
    id: deps.newJobId(),
    tenantId: principal.tenantId,
    keyId: principal.keyId,
    name: wish.name ?? null,
    handler: wish.handler,
    params: wish.params,
    reduce: wish.reduce ?? null,
    options: wish.options ?? DEFAULT_OPTIONS,
    metadata: wish.metadata ?? {},
  };
}

async function insertJob(stores: Stores, job: NewJob, items: readonly NewItem[] | undefined): Promise<Job> {
  const made = await stores.jobs.insert(job);
  if (items === undefined) return made;
  const ref = { tenantId: job.tenantId, jobId: job.id };
  const upload = await stores.jobs.openUpload(ref);
  await stores.items.insert({ ...ref, upload }, items);
  await stores.jobs.finishUpload({ ...ref, upload, total: items.length });
  return stores.jobs.start(ref);
}
