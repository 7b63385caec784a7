/** Who asks, on the routes of lent chunks: the holder of the chunk's token, for as long as that lasts. */
import type { Context } from 'koa';
import { z } from 'zod';
import { CHUNK_ITEMS_MAX } from '../../domain/batch/partition';
import type { HeldChunk } from '../../domain/batch/run';
import { AppError } from '../../domain/errors';
import { chunkPath, type ChunkGrant } from '../../domain/handler/remote';
import { idParam } from '../schema';
import type { ChunkRouteDeps } from './ports';

export const CHUNK_PATH = chunkPath('{id}', '{no}');

export const chunkParams = z.strictObject({
  id: idParam('job'),
  no: z
    .string()
    .regex(/^(0|[1-9]\d{0,8})$/)
    .transform(Number)
    .meta({ type: 'integer', description: 'Number of the chunk, from 0' }),
});

export const EPOCH_HEADER = 'Millrace-Epoch';
export const RUNNING_HEADER = 'Millrace-Running';

/** @throws AppError `invalid_chunk_token`, `chunk_token_expired`, or `not_found` for a token of another chunk */
export function grantOf(
  { tokens, now }: Pick<ChunkRouteDeps, 'tokens' | 'now'>,
  ctx: Context,
  { id, no }: z.output<typeof chunkParams>,
): ChunkGrant {
  const token = /^bearer +(\S+) *$/i.exec(ctx.get('Authorization'))?.[1];
  const grant = token === undefined ? undefined : tokens.verify(token);
  if (grant === undefined) {
    throw new AppError('invalid_chunk_token', 'Send the token of the loan: `Authorization: Bearer mct_…`.');
  }
  if (grant.expiresAt <= now()) {
    throw new AppError('chunk_token_expired', 'The loan is over: the chunk is lent out anew.');
  }
  if (grant.jobId !== id || grant.no !== no) {
    throw new AppError('not_found', 'There is nothing for this token at this address.');
  }
  return grant;
}

/** The hold that the caller says it has; whether it still has it is for the fence to say. @throws AppError `validation_failed` */
export function heldBy(grant: ChunkGrant, ctx: Context): HeldChunk {
  const { tenantId, jobId, no } = grant;
  const epoch = headerNumber(ctx, EPOCH_HEADER);
  if (epoch !== undefined) return { tenantId, jobId, no, epoch };
  throw new AppError('validation_failed', `Send ${EPOCH_HEADER}, as the claim answered it.`);
}

/** Items in flight, as the caller says. @throws AppError `validation_failed` */
export function runningOf(ctx: Context): number | undefined {
  const running = headerNumber(ctx, RUNNING_HEADER);
  return running === undefined ? undefined : Math.min(CHUNK_ITEMS_MAX, running);
}

function headerNumber(ctx: Context, name: string): number | undefined {
  const text = ctx.get(name);
  if (text === '') return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new AppError('validation_failed', `${name}: expected a whole number.`);
}

export function superseded(): AppError {
  return new AppError('superseded', 'Somebody else has claimed this chunk since, or the job is over.');
}
