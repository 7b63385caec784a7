/** Taking a lent chunk, and giving it back before its end. */
import type { z } from 'zod';
import { loanStop, isIsolated, type LoanStop } from '../../domain/batch/loan';
import { laneShare } from '../../domain/batch/partition';
import { CRASHES_MAX, type ChunkRef, type HeldChunk, type Hold, type RunJob } from '../../domain/batch/run';
import { AppError } from '../../domain/errors';
import type { ChunkGrant, RemoteHandler } from '../../domain/handler/remote';
import { openParams } from '../../domain/handler/secret-params';
import type { Json } from '../../domain/batch/job';
import { noContent, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { CHUNK_PATH, chunkParams, grantOf, heldBy } from './grant';
import type { Log } from '../ports';
import type { ChunkRouteDeps } from './ports';
import { failUnreadable } from './unreadable';
import { claimSchema, epochHeaderSpec, TOKEN_ERRORS } from './schema';

const PATH = `${CHUNK_PATH}/claim`;
const SHARED = {
  path: PATH,
  tags: ['remote handlers'],
  scopes: 'public',
  bearer: 'chunkToken',
  params: chunkParams,
} as const;

export function claimRoutes(deps: ChunkRouteDeps): Route[] {
  return [claimRoute(deps), releaseRoute(deps)];
}

function claimRoute(deps: ChunkRouteDeps): Route {
  return defineRoute({
    ...SHARED,
    method: 'post',
    operationId: 'claimChunk',
    summary: 'Take a chunk that was lent',
    description:
      'The newest claim holds the chunk: whoever claimed it before is `superseded`. Where there is nothing to do, `stop` says why.',
    responses: { 200: { description: 'The turn at the chunk, and what its job says', schema: claimSchema } },
    errors: TOKEN_ERRORS,
    handler: async ({ params, ctx, log }) =>
      ok(await claim(deps, grantOf(deps, ctx, params), log), { 'Cache-Control': 'no-store' }),
  });
}

function releaseRoute(deps: ChunkRouteDeps): Route {
  return defineRoute({
    ...SHARED,
    method: 'delete',
    operationId: 'releaseChunk',
    summary: 'Give a chunk back before its end',
    description:
      'For a worker that fails or stops: an attempt that ends without a word counts as lost, and twice lost is under suspicion ' +
      'to hold an item that ends its process.',
    requestHeaders: epochHeaderSpec,
    responses: { 204: { description: 'Others may claim it' } },
    errors: [...TOKEN_ERRORS, 'superseded'],
    handler: async ({ params, ctx }) => {
      await deps.chunks.handBack(heldBy(grantOf(deps, ctx, params), ctx), false);
      return noContent();
    },
  });
}

type Claim = z.input<typeof claimSchema>;

async function claim(deps: ChunkRouteDeps, grant: ChunkGrant, log: Log): Promise<Claim> {
  const { tenantId, jobId, no } = grant;
  const ref: ChunkRef = { tenantId, jobId, no };
  const hold = await deps.chunks.take(ref);
  const job = await deps.runs.find(ref);
  if (hold === undefined || 'status' in hold) {
    // Running again since: handed out once more it is found so.
    return nothing(loanStop(job, grant.lane) ?? 'time_box');
  }
  const held: HeldChunk = { ...ref, epoch: hold.epoch };
  if (hold.done) return nothing('done');
  const stop = loanStop(job, grant.lane);
  if (job === undefined || stop !== null) {
    await deps.chunks.handBack(held, false);
    return nothing(stop ?? 'ended');
  }
  const handler = deps.handlers.find(job.handler);
  if (handler === undefined) {
    await deps.chunks.handBack(held, false);
    throw new AppError('dependency_unavailable', `This API has no remote handler ${job.handler}.`);
  }
  const params = clearParams(deps, { job, handler, tenantId });
  if (params === undefined) {
    // Which key is missing is for whoever runs this installation; a tenant gets no word of it.
    log.error({ job_id: jobId }, 'secret params cannot be decrypted: see MILLRACE_SECRET_KEYS');
    await failUnreadable(deps, held, job);
    return nothing('done');
  }
  return turn({ job, params, grant, held, isolated: await isolation(deps, held, hold) });
}

interface Sealed {
  job: RunJob;
  handler: RemoteHandler;
  tenantId: string;
}

/** Undefined: they can't be decrypted any more. */
function clearParams({ openFor }: ChunkRouteDeps, { job, handler, tenantId }: Sealed): Json | undefined {
  try {
    return openParams(job.params, handler.secretParams ?? [], openFor(tenantId));
  } catch {
    return undefined;
  }
}

function nothing(stop: LoanStop): Claim {
  return { stop, epoch: null, work: null };
}

/** An item that ended its process twice while it ran alone is given up, and the rest is trusted again. */
async function isolation({ chunks }: ChunkRouteDeps, held: HeldChunk, hold: Hold): Promise<boolean> {
  const { suspect_index: index, suspect_crashes: crashes } = hold;
  if (index === null || crashes < CRASHES_MAX) return isIsolated(hold);
  const message = `The worker was lost ${crashes} times while this item ran alone.`;
  const error = { code: 'handler_crashed', message };
  await chunks.giveUpSuspect(held, {
    index,
    status: 'failed',
    output: null,
    error,
    attempts: crashes,
    durationMs: 0,
  });
  return false;
}

interface Turn {
  job: RunJob;
  /** in clear */
  params: Json;
  grant: ChunkGrant;
  held: HeldChunk;
  isolated: boolean;
}

function turn({ job, params, grant, held, isolated }: Turn): Claim {
  const { tenantId, jobId, no } = grant;
  const { item_timeout_ms, retry } = job.options;
  return {
    stop: null,
    epoch: held.epoch,
    work: {
      tenant_id: tenantId,
      job_id: jobId,
      chunk: no,
      handler: job.handler,
      params,
      item_timeout_ms,
      retry,
      concurrency: isolated ? 1 : laneShare(job.limits, grant.lane, grant.lanes),
      isolated,
      paced: job.limits.maxRps !== null,
    },
  };
}
