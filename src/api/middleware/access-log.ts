/** One wide line per request, written when its answer is done or its client is gone. No header and no query is ever in it. */
import { withoutKeys } from '../../domain/key/key-format';
import type { RequestLine, RequestLog, RequestSample } from '../ports';
import type { ApiContext, ApiMiddleware } from '../state';

const PATH_SHOWN = 200;
/** Asked by machines all day long. */
const QUIET = ['/healthz', '/readyz', '/metrics', '/remote/'];

export interface AccessLogDeps {
  log: RequestLog;
  observeRequest(sample: RequestSample): void;
}

export function accessLog(deps: AccessLogDeps): ApiMiddleware {
  return function accessLog(ctx, next) {
    const startedAt = performance.now();
    const { socket } = ctx.req;
    const bytesBefore = socket.bytesWritten;
    // It comes once; `once` would wrap it for each request all the same.
    ctx.res.on('close', () => {
      const ms = performance.now() - startedAt;
      const route = ctx.state.route?.path ?? 'unmatched';
      const status = ctx.res.statusCode;
      deps.observeRequest({ method: ctx.method, route, status, seconds: ms / 1000 });
      deps.log.request(levelOf(route, status), lineOf(ctx, { route, status, ms, bytesBefore }));
    });
    return next();
  };
}

function levelOf(route: string, status: number): 'debug' | 'info' | 'error' {
  if (status >= 500) return 'error';
  return QUIET.some((start) => route.startsWith(start)) ? 'debug' : 'info';
}

interface Measured {
  route: string;
  status: number;
  ms: number;
  bytesBefore: number;
}

function lineOf(ctx: ApiContext, { route, status, ms, bytesBefore }: Measured): RequestLine {
  const { path, principal, rawParams, requestId, clientAddress } = ctx.state;
  return {
    request_id: requestId,
    tenant_id: principal?.tenantId,
    key_id: principal?.keyId,
    method: ctx.method,
    path: shownPath(path),
    route,
    status,
    ms: Math.round(ms * 10) / 10,
    bytes: ctx.req.socket.bytesWritten - bytesBefore,
    job_id: route.startsWith('/v1/jobs/{id}') ? rawParams?.['id'] : undefined,
    aborted: ctx.res.writableFinished ? undefined : true,
    ip: clientAddress,
  };
}

/** A key that was sent in the path is taken out before anything is cut off: half a key would not be known for one. */
function shownPath(path: string): string {
  return withoutKeys(path.includes('%') ? decoded(path) : path).slice(0, PATH_SHOWN);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
