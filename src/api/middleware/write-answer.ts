/** Writes what the handler answered. */
import type { ServerResponse } from 'node:http';
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
  if (answer.kind === 'taken') return undefined;
  if (ctx.state.principal !== undefined) ctx.res.setHeader('Cache-Control', 'no-store');
  if (answer.headers !== undefined) ctx.set(answer.headers);
  if (answer.kind === 'stream') return writeStream(ctx, answer);
  if (answer.kind === 'json') writeJson(ctx.res, answer);
  else writeText(ctx.res, answer);
  return undefined;
}

function writeJson(res: ServerResponse, answer: JsonAnswer): void {
  const { status } = answer;
  const text = answer.jsonText ?? (answer.body === undefined ? undefined : JSON.stringify(answer.body));
  if (text !== undefined) {
    writeText(res, { status, text, contentType: 'application/json; charset=utf-8' });
    return;
  }
  res.statusCode = status;
  res.end();
}

/** Node leaves the body of a HEAD away. */
export function writeText(res: ServerResponse, answer: Omit<TextAnswer, 'kind' | 'headers'>): void {
  res.statusCode = answer.status;
  res.setHeader('Content-Type', answer.contentType);
  const bytes = Buffer.byteLength(answer.text);
  res.setHeader('Content-Length', bytes);
  // Where each character is a byte, it is the same text, and quicker to write.
  res.end(answer.text, bytes === answer.text.length ? 'latin1' : 'utf8');
}
