/** The API as a Koa application: what happens to a request, in one visible list. It never listens. */
import Koa from 'koa';
import { accessLog } from './middleware/access-log';
import { type AuthenticateDeps, authenticate } from './middleware/authenticate';
import { handle } from './middleware/handle';
import { type IdempotencyDeps, idempotency } from './middleware/idempotency';
import { routeMatching } from './middleware/match-route';
import { originForm } from './middleware/origin-form';
import { problemDetails } from './middleware/problem-details';
import { readableUrl } from './middleware/readable-url';
import { readBody } from './middleware/read-body';
import { requestId } from './middleware/request-id';
import { validate } from './middleware/validate';
import { writeAnswer } from './middleware/write-answer';
import type { Log, RequestSample } from './ports';
import type { Route } from './route';
import type { ApiState } from './state';

export interface AppDeps extends AuthenticateDeps, IdempotencyDeps {
  routes: readonly Route[];
  log: Log;
  newRequestId(): string;
  observeRequest(sample: RequestSample): void;
}

export function createApp(deps: AppDeps): Koa<ApiState> {
  const app = new Koa<ApiState>();
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
  // Rate limits by plan stand here: after it is known who asks, before anything is read or done.
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
