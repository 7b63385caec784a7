/** Whatever is thrown below becomes a problem; what nobody foresaw goes to the log whole and to the client not at all. */
import { isAppError } from '../../domain/errors';
import { withoutKeys } from '../../domain/key/key-format';
import { closeAfterAnswer } from '../linger';
import { toProblem } from '../problem';
import type { ApiContext, ApiMiddleware } from '../state';
import { writeText } from './write-answer';

/** For a client that is still sending when it is refused. */
const LINGER = { bytesMax: 16 * 1024 * 1024, timeMaxMs: 2_000 };

export function problemDetails(): ApiMiddleware {
  return function problemDetails(ctx, next) {
    return next().then(undefined, (error: unknown) => {
      if (ctx.headerSent || ctx.state.signal.aborted) breakOff(ctx, error);
      else answer(ctx, error);
    });
  };
}

function answer(ctx: ApiContext, error: unknown): void {
  const problem = toProblem(error, { requestId: ctx.state.requestId, instance: ctx.path });
  logFailure(ctx, error, problem.status);
  // Where a handler has seen to that with limits of its own, it stays so.
  if (!ctx.req.complete && ctx.res.shouldKeepAlive) closeAfterAnswer(ctx.req, ctx.res, LINGER);
  ctx.set(problem.headers);
  // Problems say what was sent, and end up in the logs of others.
  const text = withoutKeys(JSON.stringify(problem.body));
  writeText(ctx.res, { status: problem.status, text, contentType: problem.headers['Content-Type'] ?? '' });
}

function logFailure(ctx: ApiContext, error: unknown, status: number): void {
  if (status >= 500) ctx.state.log.error({ err: error, internal: internalOf(error) }, 'request failed');
  else ctx.state.log.debug({ err: error, internal: internalOf(error) }, 'request refused');
}

/** The status is on its way already: an end that looks right would pass for a whole answer. */
function breakOff(ctx: ApiContext, error: unknown): void {
  if (!ctx.state.signal.aborted) {
    ctx.state.log.error({ err: error, internal: internalOf(error) }, 'answer broken off');
  }
  ctx.res.destroy();
}

function internalOf(error: unknown): string | undefined {
  return isAppError(error) ? error.internal : undefined;
}
