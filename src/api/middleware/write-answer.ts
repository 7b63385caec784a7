/** Writes what the handler answered. */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { JsonAnswer, StreamAnswer } from '../respond';
import type { ApiContext, ApiMiddleware } from '../state';

export function writeAnswer(): ApiMiddleware {
  return async function writeAnswer(ctx, next) {
    await next();
    const { answer } = ctx.state;
    if (answer === undefined) return;
    if (answer.kind === 'taken') {
      ctx.respond = false;
      return;
    }
    if (ctx.state.principal !== undefined) ctx.set('Cache-Control', 'no-store');
    ctx.set(answer.headers ?? {});
    if (answer.kind === 'stream') await writeStream(ctx, answer);
    else if (answer.kind === 'json') writeJson(ctx, answer);
    else {
      ctx.status = answer.status;
      ctx.body = answer.text;
      ctx.set('Content-Type', answer.contentType);
    }
  };
}

function writeJson(ctx: ApiContext, answer: JsonAnswer): void {
  ctx.status = answer.status;
  const text = answer.jsonText ?? (answer.body === undefined ? undefined : JSON.stringify(answer.body));
  if (text === undefined) {
    ctx.body = null;
    ctx.status = answer.status;
    return;
  }
  ctx.body = text;
  ctx.set('Content-Type', 'application/json; charset=utf-8');
}

async function writeStream(ctx: ApiContext, answer: StreamAnswer): Promise<void> {
  const chunks = answer.chunks[Symbol.asyncIterator]();
  // The first chunk before the status: a failure up to here can still be told as a problem.
  const first = ctx.method === 'HEAD' ? undefined : await chunks.next();
  ctx.respond = false;
  ctx.status = answer.status;
  ctx.set('Content-Type', answer.contentType);
  if (first === undefined) {
    ctx.res.end();
    await chunks.return?.();
    return;
  }
  try {
    await pipeline(Readable.from(resumed(first, chunks), { objectMode: true }), ctx.res);
  } finally {
    // A pipeline whose client is gone already never starts the generator, and so never ends it either.
    await chunks.return?.();
  }
}

async function* resumed(
  first: IteratorResult<string | Uint8Array>,
  rest: AsyncIterator<string | Uint8Array>,
): AsyncGenerator<string | Uint8Array> {
  try {
    for (let chunk = first; chunk.done !== true; chunk = await rest.next()) yield chunk.value;
  } finally {
    await rest.return?.();
  }
}
