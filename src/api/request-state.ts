/** The state of one request. What few requests need is made when it is asked for. */
import type { ServerResponse } from 'node:http';
import type { Principal } from '../domain/key/scopes';
import type { Credential } from './access/ports';
import type { Log } from './ports';
import type { Answer } from './respond';
import type { Route } from './route';
import type { ApiState } from './state';

/** Most requests have none. */
export const NO_QUERY: Readonly<Record<string, string>> = {};

interface Beginning {
  requestId: string;
  clientAddress: string;
  log: Log;
  res: ServerResponse;
}

/** All fields from the start: objects of one shape are what the runtime is fast with. */
export class RequestState implements ApiState {
  path = '';
  rawQuery: Readonly<Record<string, string>> = NO_QUERY;
  route: Route | undefined = undefined;
  rawParams: Record<string, string> | undefined = undefined;
  bodyBytes: Uint8Array | undefined = undefined;
  rawBody: unknown = undefined;
  params: unknown = undefined;
  query: unknown = undefined;
  body: unknown = undefined;
  transact: ApiState['transact'] = undefined;
  answer: Answer | undefined = undefined;
  credential: Credential | undefined = undefined;
  private asker: Principal | undefined = undefined;
  private ownLog: Log | undefined = undefined;
  private ownSignal: AbortSignal | undefined = undefined;

  readonly requestId: string;
  readonly clientAddress: string;
  private readonly baseLog: Log;
  private readonly res: ServerResponse;

  constructor({ requestId, clientAddress, log, res }: Beginning) {
    this.requestId = requestId;
    this.clientAddress = clientAddress;
    this.baseLog = log;
    this.res = res;
  }

  get principal(): Principal | undefined {
    return this.asker;
  }

  set principal(principal: Principal | undefined) {
    this.asker = principal;
    this.ownLog = undefined;
  }

  /** With the id of the request, and with tenant and key as soon as they are known. */
  get log(): Log {
    this.ownLog ??= this.baseLog.child({ request_id: this.requestId, ...askerFields(this.asker) });
    return this.ownLog;
  }

  set log(log: Log) {
    this.ownLog = log;
  }

  get signal(): AbortSignal {
    this.ownSignal ??= signalOf(this.res);
    return this.ownSignal;
  }
}

function askerFields(principal: Principal | undefined): object {
  return principal === undefined ? {} : { tenant_id: principal.tenantId, key_id: principal.keyId };
}

function signalOf(res: ServerResponse): AbortSignal {
  if (res.closed) return res.writableFinished ? new AbortController().signal : AbortSignal.abort();
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort();
  });
  return controller.signal;
}
