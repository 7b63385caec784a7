/** Results of a lent chunk in; what comes back says whether the worker may go on. */
import type { IncomingMessage } from 'node:http';
import { loanStop, type LoanStop } from '../../domain/batch/loan';
import { chunkRange, laneShare } from '../../domain/batch/partition';
import type { Control, HeldChunk, RunJob } from '../../domain/batch/run';
import { writeHalving } from '../../domain/batch/write-halving';
import { AppError } from '../../domain/errors';
import type { ItemOutcome } from '../../domain/handler/contract';
import type { ChunkGrant, RemoteHandler } from '../../domain/handler/remote';
import { decoderFor } from '../batch/ingest/content';
import { requestBody } from '../batch/ingest/request-body';
import { utf8Blocks } from '../batch/ingest/utf8';
import { type Answer, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { CHUNK_PATH, chunkParams, grantOf, heldBy, runningOf, superseded } from './grant';
import { noteFailures } from './items';
import { toOutcome } from './outcome';
import type { ChunkRouteDeps } from './ports';
import { parseResultLines, type ResultLine } from './result-lines';
import { heldHeadersSpec, resultsAnswerSchema, TOKEN_ERRORS } from './schema';

/** Two outputs of the greatest size and what stands around them; so much of a request is held in memory. */
const BODY_BYTES_MAX = 4 * 1_048_576;
const PACE = { bytesPerSecond: 1_000, windowMs: 10_000 };
const MEDIA_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'];

export function resultsRoute(deps: ChunkRouteDeps): Route {
  return defineRoute({
    method: 'post',
    path: `${CHUNK_PATH}/results`,
    operationId: 'postChunkResults',
    summary: 'Results of a claimed chunk',
    description:
      'One line an item: `{"index", "attempt", "output"}` or `{"index", "attempt", "error": {"code", "message", "retryable", ' +
      '"retry_after_ms"}}`, and maybe `duration_ms`. All lines or none; one that came before is ignored. Without a line it ' +
      'only asks whether the worker may go on: ask every second.',
    tags: ['remote handlers'],
    scopes: 'public',
    bearer: 'chunkToken',
    params: chunkParams,
    rawBody: MEDIA_TYPES,
    requestHeaders: heldHeadersSpec,
    responses: { 200: { description: 'What was taken, and whether to go on', schema: resultsAnswerSchema } },
    errors: [
      ...TOKEN_ERRORS,
      ...([
        'superseded',
        'malformed_ndjson',
        'body_too_large',
        'upload_incomplete',
        'upload_too_slow',
      ] as const),
    ],
    handler: async ({ params, ctx }) => {
      const grant = grantOf(deps, ctx, params);
      const given = { deps, grant, held: heldBy(grant, ctx), running: runningOf(ctx) };
      const text = await readText(ctx.req);
      return text.trim() === '' ? keepAlive(given) : take(given, text);
    },
  });
}

async function readText(req: IncomingMessage): Promise<string> {
  const decode = decoderFor(req.headers);
  if (Number(req.headers['content-length']) > BODY_BYTES_MAX) throw tooLarge();
  const body = requestBody(req, PACE);
  try {
    const parts: string[] = [];
    for await (const block of utf8Blocks(capped(decode(body.chunks)))) parts.push(block.toString('utf8'));
    return parts.join('');
  } finally {
    body.release();
  }
}

/** In its words, since the limit is not that of an upload. */
async function* capped(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw tooLarge();
    yield chunk;
  }
}

function tooLarge(): AppError {
  return new AppError('body_too_large', `Send at most ${BODY_BYTES_MAX} bytes of results at once.`);
}

interface Given {
  deps: ChunkRouteDeps;
  grant: ChunkGrant;
  held: HeldChunk;
  running: number | undefined;
}

async function keepAlive({ deps, grant, held, running }: Given): Promise<Answer> {
  const [[control], chunk] = await Promise.all([deps.runs.watch([held.jobId]), deps.loans.find(held)]);
  if (chunk?.epoch !== held.epoch) throw superseded();
  if (running !== undefined && running !== chunk.running) {
    await deps.chunks.write(held, [], running);
    deps.progress.touch(held);
  }
  return accepted(0, grant, control);
}

async function take({ deps, grant, held, running }: Given, text: string): Promise<Answer> {
  const [job, chunk] = await Promise.all([deps.runs.find(held), deps.loans.find(held)]);
  if (job === undefined || chunk?.epoch !== held.epoch) throw superseded();
  const lines = parseResultLines(text, chunkRange(held.no, job.chunkItems, job.total));
  const handler = deps.handlers.find(job.handler);
  if (handler === undefined) {
    throw new AppError('dependency_unavailable', `This API has no remote handler ${job.handler}.`);
  }
  const outcomes = await judge({ deps, grant, held, job, handler }, lines);
  const left = running ?? Math.max(0, chunk.running - lines.length);
  await writeHalving(outcomes, (some) => deps.chunks.write(held, some, left));
  if (outcomes.some(({ status }) => status === 'failed')) await noteFailures(deps, held, job);
  deps.progress.touch(held);
  const [control] = await deps.runs.watch([held.jobId]);
  return accepted(lines.length, grant, control);
}

interface Judging {
  deps: ChunkRouteDeps;
  grant: ChunkGrant;
  held: HeldChunk;
  job: RunJob;
  handler: RemoteHandler;
}

async function judge(
  { deps, grant, held, job, handler }: Judging,
  lines: readonly ResultLine[],
): Promise<ItemOutcome[]> {
  const indexes = lines.map(({ index }) => index);
  const made = new Map((await deps.loans.attempts(held, indexes)).map((one) => [one.index, one]));
  const now = new Date(deps.now().getTime() + grant.clockAheadMs);
  const judged = { handler, options: job.options, now, chance: deps.chance };
  return lines.flatMap((line) => toOutcome(line, made.get(line.index), judged) ?? []);
}

function accepted(lines: number, { lane, lanes }: ChunkGrant, control: Control | undefined): Answer {
  const stop: LoanStop | null = loanStop(control, lane);
  const concurrency = control === undefined ? 0 : laneShare(control.limits, lane, lanes);
  return ok({ accepted: lines, stop, concurrency }, { 'Cache-Control': 'no-store' });
}
