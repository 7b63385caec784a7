/** Writes what the handler answered. */
import type { Answer, JsonAnswer, TextAnswer } from '../respond';
import type { ApiContext, ApiMiddleware } from '../state';
import { writeStream } from './write-stream';

export function writeAnswer(): ApiMiddleware {
  return function writeAnswer(ctx, next) {
    return next().then(() => {
      const { answer } = ctx.state;
      return answer === undefined ? undefined : write(ctx, answer);
    });
  };
}

/** @returns a promise only of what takes its time */
function write(ctx: ApiContext, answer: Answer): Promise<void> | undefined {
  if (answer.kind === 'taken') {
    ctx.respond = false;
    return undefined;
  }
  if (ctx.state.principal !== undefined) ctx.res.setHeader('Cache-Control', 'no-store');
  if (answer.headers !== undefined) ctx.set(answer.headers);
  if (answer.kind === 'stream') return writeStream(ctx, answer);
  if (answer.kind === 'json') writeJson(ctx, answer);
  else writeText(ctx, answer);
  return undefined;
}

function writeJson(ctx: ApiContext, answer: JsonAnswer): void {
  const { status } = answer;
  const text = answer.jsonText ?? (answer.body === undefined ? undefined : JSON.stringify(answer.body));
  if (text !== undefined) {
    writeText(ctx, { status, text, contentType: 'application/json; charset=utf-8' });
    return;
  }
  ctx.body = null;
  ctx.status = status;
}

/** Koa would find out type and length in several steps; both are known here. Node leaves the body of a HEAD away. */
function writeText(ctx: ApiContext, answer: Omit<TextAnswer, 'kind'>): void {
  const { res } = ctx;
  ctx.respond = false;
  res.statusCode = answer.status;
  res.setHeader('Content-Type', answer.contentType);
  res.setHeader('Content-Length', Buffer.byteLength(answer.text));
  res.end(answer.text);
}
