/**
 * The one way out to servers that tenants name (item handlers, webhooks). It calls nothing but the public internet, see
 * `egress-guard.ts`, follows no redirect, heeds no proxy variable, and reads no more than it was told to.
 *
 * Connections are kept for a few seconds and used again; each was judged when it was opened, so a name that points elsewhere
 * meanwhile leads nowhere new without a new judgement.
 */
import net from 'node:net';
import { Agent, type Dispatcher, request as send } from 'undici';
import {
  type OutboundFailure,
  type OutboundRequest,
  type OutboundResult,
  RESPONSE_BYTES_MAX,
} from '../../domain/outbound/exchange';
import { createConnector, type Dial } from './connect';
import { createEgressGuard } from './egress-guard';
import { failed, toFailure } from './fault';
import { ACCEPT_ENCODING, readBody } from './read-body';
import { createResolve, type Resolve } from './resolve';

export interface OutboundOptions {
  /** CIDRs that may be called although they are not public */
  opened: readonly string[];
  userAgent: string;
  /** in place of DNS */
  resolve?: Resolve | undefined;
  /** in place of TCP */
  dial?: Dial | undefined;
  /** longest that a connection may take, DNS and TLS included; a request's own deadline may be shorter */
  connectTimeoutMs?: number | undefined;
}

export interface OutboundClient {
  /** Why a URL can't be called whatever DNS says of it, or undefined. */
  refusal(url: string): OutboundFailure | undefined;
  /** Never rejects for what the network or the other side does. */
  exchange(request: OutboundRequest): Promise<OutboundResult>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;

export function createOutboundClient(options: OutboundOptions): OutboundClient {
  const guard = createEgressGuard(options.opened);
  const agent = new Agent({
    connect: createConnector({
      guard,
      resolve: options.resolve ?? createResolve(),
      dial: options.dial ?? ((to) => net.connect(to)),
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    }),
    // The deadline is each request's own.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    refusal(url) {
      const checked = guard.check(url);
      return checked.ok ? undefined : checked;
    },
    async exchange(request) {
      const checked = guard.check(request.url);
      if (!checked.ok) return checked;
      return underDeadline(request, (signal) =>
        exchange(request, { url: checked.url, agent, signal, userAgent: options.userAgent }),
      );
    },
    close: () => agent.destroy(),
  };
}

/** Ends at the deadline or with the caller's signal, whatever `work` is at: undici heeds a signal only once it is connected. */
async function underDeadline(
  { timeoutMs, signal }: OutboundRequest,
  work: (signal: AbortSignal) => Promise<OutboundResult>,
): Promise<OutboundResult> {
  if (signal?.aborted === true) return ABORTED;
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const end = new Promise<OutboundFailure>((resolve) => {
    const endAs = (failure: OutboundFailure): void => {
      resolve(failure);
      controller.abort();
    };
    onAbort = () => endAs(ABORTED);
    signal?.addEventListener('abort', onAbort);
    if (timeoutMs !== undefined) timer = setTimeout(() => endAs(tooSlow(timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([end, toResult(work(controller.signal))]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal?.removeEventListener('abort', onAbort);
  }
}

async function toResult(work: Promise<OutboundResult>): Promise<OutboundResult> {
  try {
    return await work;
  } catch (error) {
    const failure = toFailure(error);
    if (failure === undefined) throw error;
    return failure;
  }
}

const ABORTED = failed('aborted', 'The request was given up.');

function tooSlow(timeoutMs: number): OutboundFailure {
  return failed('timeout', `There was no complete answer within ${timeoutMs} ms.`);
}

interface Exchange {
  url: URL;
  agent: Dispatcher;
  signal: AbortSignal;
  userAgent: string;
}

async function exchange(
  { method, headers, body, overflow, responseBytesMax = RESPONSE_BYTES_MAX }: OutboundRequest,
  { url, agent, signal, userAgent }: Exchange,
): Promise<OutboundResult> {
  const response = await send(url, {
    dispatcher: agent,
    method,
    headers: withDefaults(headers, userAgent),
    body: body ?? null,
    signal,
  });
  const answered = toHeaders(response.headers);
  const { bytes, cut } = await readBody(response.body, answered['content-encoding'] ?? '', responseBytesMax);
  if (cut && overflow !== 'cut') {
    return failed('response_too_large', `The answer is larger than ${responseBytesMax} bytes.`);
  }
  return { ok: true, status: response.statusCode, headers: answered, body: bytes, cut };
}

/** Names stay as they were written: some receivers look at their case. */
function withDefaults(headers: Readonly<Record<string, string>>, userAgent: string): Record<string, string> {
  const given = Object.keys(headers).map((name) => name.toLowerCase());
  const defaults = { accept: '*/*', 'user-agent': userAgent, 'accept-encoding': ACCEPT_ENCODING };
  const missing = Object.entries(defaults).filter(([name]) => !given.includes(name));
  return { ...headers, ...Object.fromEntries(missing) };
}

function toHeaders(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  );
}
