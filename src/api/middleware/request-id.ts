/** Every request has an id, given by the client or made here, that the answer, the log and problems carry. */
import type { ClientAddress } from '../access/client-address';
import type { Log } from '../ports';
import { RequestState } from '../request-state';
import type { ApiMiddleware } from '../state';

const SANE = /^[\w.:/+=-]{1,128}$/;

export interface RequestIdDeps {
  newRequestId(): string;
  clientAddress: ClientAddress;
  log: Log;
}

export function requestId(deps: RequestIdDeps): ApiMiddleware {
  return function requestId(ctx, next) {
    const { req, res } = ctx;
    const given = req.headers['x-request-id'];
    const id = typeof given === 'string' && SANE.test(given) ? given : deps.newRequestId();
    const clientAddress = deps.clientAddress(req);
    ctx.state = new RequestState({ requestId: id, clientAddress, log: deps.log, res });
    res.setHeader('X-Request-Id', id);
    res.setHeader('X-Content-Type-Options', 'nosniff');
    return next();
  };
}
