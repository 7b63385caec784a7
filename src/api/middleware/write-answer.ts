/** Writes what the handler answered. */
import type { JsonAnswer } from '../respond';
import type { ApiContext, ApiMiddleware } from '../state';
import { writeStream } from './write-stream';

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
