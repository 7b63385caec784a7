/** One wide line per request, written when its answer is done or its client is gone. No header and no query is ever in it. */
import type { RequestSample } from '../ports';
import type { ApiContext, ApiMiddleware } from '../state';

const PATH_SHOWN = 200;
/** Asked by machines all day long. */
const QUIET = ['/healthz', '/readyz', '/metrics', '/remote/'];

export function accessLog(deps: { observeRequest(sample: RequestSample): void }): ApiMiddleware {
  return async function accessLog(ctx, next) {
    const startedAt = performance.now();
    const socket = ctx.req.socket;
    const bytesBefore = socket.bytesWritten;
    ctx.res.once('close', () => {
      const ms = performance.now() - startedAt;
      const route = ctx.state.route?.path ?? 'unmatched';
      const status = ctx.res.statusCode;
      deps.observeRequest({ method: ctx.method, route, status, seconds: ms / 1000 });
      writeLine(ctx, {
        route,
        status,
        ms: Math.round(ms * 10) / 10,
        bytes: socket.bytesWritten - bytesBefore,
      });
    });
    await next();
  };
}

function writeLine(
  ctx: ApiContext,
  measured: { route: string; status: number; ms: number; bytes: number },
): void {
  const { principal, rawParams, log, signal } = ctx.state;
  const line = {
    method: ctx.method,
    path: ctx.path.slice(0, PATH_SHOWN),
    ...measured,
    tenant_id: principal?.tenantId,
    key_id: principal?.keyId,
    job_id: measured.route.startsWith('/v1/jobs/{id}') ? rawParams?.['id'] : undefined,
    aborted: signal.aborted || undefined,
    ip: ctx.ip,
  };
  if (measured.status >= 500) log.error(line, 'request');
  else if (QUIET.some((start) => measured.route.startsWith(start))) log.debug(line, 'request');
  else log.info(line, 'request');
}
