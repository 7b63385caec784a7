/** Items of a lent chunk out, page by page, at the pace that the job allows. */
import type { z } from 'zod';
import { isCleared, isIsolated, type LoanedChunk, loanStop, type LoanStop } from '../../domain/batch/loan';
import { blockItems, paceInterval } from '../../domain/batch/pace';
import { chunkRange } from '../../domain/batch/partition';
import type { HeldChunk, PendingItem, RunJob } from '../../domain/batch/run';
import type { ItemOutcome } from '../../domain/handler/contract';
import { toErrorMessage } from '../../domain/handler/error-message';
import type { ChunkGrant, RemoteHandler } from '../../domain/handler/remote';
import { onOneLine } from '../../domain/json-text';
import { type Answer, text } from '../respond';
import { defineRoute, type Route } from '../route';
import { CHUNK_PATH, chunkParams, grantOf, heldBy, runningOf, superseded } from './grant';
import type { ChunkRouteDeps } from './ports';
import { heldHeadersSpec, ITEMS_DEFAULT, itemsQuery, loanItemSchema, TOKEN_ERRORS } from './schema';

export const NEXT_HEADER = 'Millrace-Next';
export const WAIT_HEADER = 'Millrace-Wait-Ms';
export const STOP_HEADER = 'Millrace-Stop';

/** Of one page's inputs; the first item always comes. */
const PAGE_BYTES = 2 * 1_048_576;
/** A worker keeps its turn for a retry that is due that soon. */
const RETRY_SOON_MS = 2_000;

export function itemsRoute(deps: ChunkRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: `${CHUNK_PATH}/items`,
    operationId: 'getChunkItems',
    summary: 'Items of a claimed chunk',
    description:
      'Those that may begin now, in order of index. Ask on with `after` as long as there is a `Millrace-Next`; when the results of ' +
      'all are accepted, ask once more from the start, for what is to be tried again. An answer without items, `Millrace-Next`, ' +
      '`Millrace-Wait-Ms` and `Millrace-Stop` is the end of the chunk.',
    tags: ['remote handlers'],
    scopes: 'public',
    bearer: 'chunkToken',
    head: false,
    params: chunkParams,
    query: itemsQuery,
    requestHeaders: heldHeadersSpec,
    responses: {
      200: {
        description: 'The items',
        schema: loanItemSchema,
        contentType: 'application/x-ndjson',
        headers: {
          [NEXT_HEADER]: 'There may be more: `after` of the next request',
          [WAIT_HEADER]: 'Wait for so long before the next request, which is the same again',
          [STOP_HEADER]: 'Nothing may begin any more, or for now, and why: a LoanStop',
        },
      },
    },
    errors: [...TOKEN_ERRORS, 'superseded'],
    handler: async ({ params, query, ctx }) => {
      const grant = grantOf(deps, ctx, params);
      const held = heldBy(grant, ctx);
      return handOut({ deps, grant, held, query, running: runningOf(ctx) });
    },
  });
}

interface Asked {
  deps: ChunkRouteDeps;
  grant: ChunkGrant;
  held: HeldChunk;
  query: z.output<typeof itemsQuery>;
  running: number | undefined;
}

interface HandOut extends Asked {
  job: RunJob;
  chunk: LoanedChunk;
  handler: RemoteHandler;
}

async function handOut(asked: Asked): Promise<Answer> {
  const { deps, grant, held } = asked;
  const [job, chunk] = await Promise.all([deps.runs.find(held), deps.loans.find(held)]);
  if (chunk?.epoch !== held.epoch) throw superseded();
  const stop = loanStop(job, grant.lane) ?? (isCleared(chunk) ? 'time_box' : null);
  const handler = job === undefined ? undefined : deps.handlers.find(job.handler);
  if (job === undefined || handler === undefined || stop !== null) return stopped(stop ?? 'ended');
  return page({ ...asked, job, chunk, handler });
}

async function page(out: HandOut): Promise<Answer> {
  const { deps, held, job, query } = out;
  const isolated = isIsolated(out.chunk);
  const { start, end } = chunkRange(held.no, job.chunkItems, job.total);
  const now = new Date(deps.now().getTime() + out.grant.clockAheadMs);
  const after = Math.max(start - 1, query.after ?? -1);
  const found = await deps.chunks.readPending(held, {
    upload: job.upload,
    after,
    end,
    limit: isolated ? 1 : limitOf(out),
    bytesMax: PAGE_BYTES,
    due: now,
  });
  const last = found.at(-1);
  if (last === undefined) return query.after === undefined ? rest(out, now) : answer([], {});
  const waitMs = await pace(out, found.length);
  if (waitMs !== undefined) return answer([], { [WAIT_HEADER]: waitMs });
  const items = await accept(out, found);
  if (isolated && items[0] !== undefined) await deps.chunks.mark(held, items[0].index);
  return answer(
    items.map((item) => toLine(item, held)),
    { [NEXT_HEADER]: last.index },
  );
}

function limitOf({ job, query }: HandOut): number {
  const wanted = query.limit ?? ITEMS_DEFAULT;
  const { maxRps } = job.limits;
  return maxRps === null ? wanted : Math.min(wanted, blockItems({ ...job.limits, maxRps }));
}

/** Waits until the items may begin. @returns ms after which to ask again, where that is too far off */
async function pace({ deps, held, job }: HandOut, items: number): Promise<number | undefined> {
  const { maxRps } = job.limits;
  if (maxRps === null) return undefined;
  const reserved = await deps.rates.reserve(held, items, paceInterval(maxRps));
  if (reserved.items === 0) return Math.max(1, Math.ceil(reserved.waitMs));
  // Never more than a second: further ahead nothing is reserved.
  if (reserved.waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, reserved.waitMs));
  return undefined;
}

/** Nothing is left but what waits for another attempt: when that is soon, the turn is kept for it. */
async function rest({ deps, held, job }: HandOut, now: Date): Promise<Answer> {
  const range = { upload: job.upload, ...chunkRange(held.no, job.chunkItems, job.total) };
  const { due_at: dueAt } = await deps.loans.rest(held, range, now);
  const waitMs = dueAt === null ? Number.POSITIVE_INFINITY : dueAt.getTime() - now.getTime();
  return answer([], waitMs <= RETRY_SOON_MS ? { [WAIT_HEADER]: Math.max(1, Math.ceil(waitMs)) } : {});
}

/** Inputs that the handler's schema refuses fail here and don't go out. */
async function accept(out: HandOut, found: readonly PendingItem[]): Promise<PendingItem[]> {
  const { deps, held, handler } = out;
  const refused: ItemOutcome[] = [];
  const items = found.filter((item) => {
    const fault = handler.inputFault(item.input);
    if (fault !== undefined) refused.push(toRefused(item, fault));
    return fault === undefined;
  });
  if (refused.length > 0) {
    await deps.chunks.write(held, refused, out.running ?? out.chunk.running);
    await noteFailures(deps, held, out.job);
    deps.progress.touch(held);
  }
  return items;
}

/** After failures were written: the job may bear no more of them. */
export async function noteFailures(
  { runs }: Pick<ChunkRouteDeps, 'runs'>,
  held: HeldChunk,
  { tolerated }: Pick<RunJob, 'tolerated'>,
): Promise<void> {
  if (tolerated !== null) await runs.exceed(held, tolerated);
}

function toRefused({ index, attempts }: PendingItem, fault: string): ItemOutcome {
  const message = toErrorMessage(`The handler refuses the input: ${fault}`);
  const error = { code: 'input_invalid', message };
  return { index, status: 'failed', output: null, error, attempts: attempts + 1, durationMs: 0 };
}

function toLine({ index, custom_id, input, attempts }: PendingItem, { jobId }: HeldChunk): string {
  return (
    `{"index":${index},"custom_id":${JSON.stringify(custom_id ?? String(index))},"attempt":${attempts + 1},` +
    `"idempotency_key":"${jobId}:${index}","input":${onOneLine(input)}}\n`
  );
}

function stopped(stop: LoanStop): Answer {
  return answer([], { [STOP_HEADER]: stop });
}

function answer(lines: readonly string[], headers: Record<string, string | number>): Answer {
  const shown = Object.entries(headers).map(([name, value]) => [name, String(value)]);
  return text('application/x-ndjson', lines.join(''), {
    'Cache-Control': 'no-store',
    ...(Object.fromEntries(shown) as Record<string, string>),
  });
}
