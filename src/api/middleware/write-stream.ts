/** Writes an answer that is made while it goes out: at the client's pace, compressed where asked for, whole or broken off. */
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, type Gzip } from 'node:zlib';
import type { StreamAnswer } from '../respond';
import type { ApiContext } from '../state';

/** A client that takes nothing for so long is cut: it may hold more than a socket. */
const STALLED_MS = 600_000;

/** Of result lines level 6 makes a fifth less, for three times the processor (docs/performance.md). */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 };

export async function writeStream(
  ctx: ApiContext,
  answer: StreamAnswer,
  stalledMs = STALLED_MS,
): Promise<void> {
  const chunks = answer.chunks[Symbol.asyncIterator]();
  // The first chunk before the status: a failure up to here can still be told as a problem.
  const first = ctx.method === 'HEAD' ? undefined : await chunks.next();
  ctx.status = answer.status;
  ctx.set('Content-Type', answer.contentType);
  const gzip = answer.compress === true ? negotiateGzip(ctx) : undefined;
  if (first === undefined) {
    ctx.res.end();
    await chunks.return?.();
    return;
  }
  const release = cutWhenStalled(ctx.res, stalledMs);
  try {
    const source = Readable.from(resumed(first, chunks), { objectMode: true });
    await pipeline(gzip === undefined ? [source, ctx.res] : [source, gzip, ctx.res]);
  } finally {
    release();
    // A pipeline whose client is gone already never starts the generator, and so never ends it either.
    await chunks.return?.();
  }
}

/** RFC 9110 §12.5.3; where neither coding is acceptable the plain text is. A failure breaks a gzip off before its trailer. */
function negotiateGzip(ctx: ApiContext): Gzip | undefined {
  ctx.vary('Accept-Encoding');
  // §8.4.1.3: the old name means the same. Offered only where it is asked for: `*` would bring back a gzip that was refused.
  const name = /\bx-gzip\b/i.test(ctx.get('Accept-Encoding')) ? 'x-gzip' : 'gzip';
  if (ctx.acceptsEncodings(name, 'identity') !== name) return undefined;
  ctx.set('Content-Encoding', 'gzip');
  return createGzip(GZIP);
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

/** @returns what ends the watch */
function cutWhenStalled(res: ServerResponse, stalledMs: number): () => void {
  const { socket } = res;
  let written: number | undefined;
  const look = setInterval(() => {
    if (res.writableNeedDrain && written === socket?.bytesWritten) res.destroy();
    written = socket?.bytesWritten;
  }, stalledMs);
  look.unref();
  return () => clearInterval(look);
}
