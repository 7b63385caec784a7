/** The API as a Koa application: what happens to a request, in one visible list. It never listens. */
import { Application } from './application';
import { type AccessLogDeps, accessLog } from './middleware/access-log';
import { type AuthenticateDeps, authenticate } from './middleware/authenticate';
import { handle } from './middleware/handle';
import { type IdempotencyDeps, idempotency } from './middleware/idempotency';
import { routeMatching } from './middleware/match-route';
import { originForm } from './middleware/origin-form';
import { problemDetails } from './middleware/problem-details';
import { readableUrl } from './middleware/readable-url';
import { readBody } from './middleware/read-body';
import { type MeterDeps, meter } from './middleware/meter';
import { type RateLimitDeps, rateLimit } from './middleware/rate-limit';
import { type RequestIdDeps, requestId } from './middleware/request-id';
import { requireScopes } from './middleware/require-scopes';
import { validate } from './middleware/validate';
import { writeAnswer } from './middleware/write-answer';
import type { Log, RequestLog } from './ports';
import type { Route } from './route';

export interface AppDeps
  extends AccessLogDeps,
    AuthenticateDeps,
    IdempotencyDeps,
    MeterDeps,
    RateLimitDeps,
    RequestIdDeps {
  routes: readonly Route[];
  log: Log & RequestLog;
}

export function createApp(deps: AppDeps): Application {
  const app = new Application();
  const { match, refuseUnmatched } = routeMatching(deps.routes);
  app.use(originForm());
  app.use(requestId(deps));
  app.use(accessLog(deps));
  app.use(problemDetails());
  app.use(writeAnswer());
  app.use(readableUrl());
  app.use(match);
  app.use(refuseUnmatched);
  app.use(authenticate(deps));
  app.use(meter(deps));
  app.use(rateLimit(deps));
  app.use(requireScopes());
  app.use(readBody());
  app.use(validate());
  app.use(idempotency(deps));
  app.use(handle());
  // Koa's own handler only sees what broke outside of the list; a client that went away is not worth a line.
  app.on('error', (error: Error & { code?: string }) => {
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') deps.log.error({ err: error }, 'koa');
  });
  return app;
}
