/** The HTTP server around the application: limits that hold before a request is one, and a drain that cuts nobody off early. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { AppError } from '../domain/errors';
import { toProblem } from './problem';
import { carriesAnswer, hasBody, type MayUpgrade, upgradableMessage, UpgradeResponse } from './upgrade';

export interface ApiServer {
  listen(at: { host: string; port: number }): Promise<AddressInfo>;
  /** Takes nothing new and waits for what runs; what still runs after `graceMs` is cut. */
  drain(graceMs: number): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 20_000;
const HEADERS_BYTES_MAX = 32 * 1024;
/** Longer than the usual 60 s of load balancers, so that it is never us who close a connection they are about to use. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
/** How long a client may go on sending a body after it got its answer. */
const LEFTOVER_TIME_MS = 5_000;
const IDLE_SWEEP_MS = 50;

export interface ApiServerDeps {
  listener: RequestListener;
  newRequestId(): string;
  /** Which requests may go on as another protocol; left out, none. Their response is an `UpgradeResponse`. */
  mayUpgrade?: MayUpgrade;
}

export function createApiServer({ mayUpgrade = () => false, ...deps }: ApiServerDeps): ApiServer {
  let draining = false;
  const server = createServer(
    {
      maxHeaderSize: HEADERS_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      // Uploads may take hours; each reader of a body has a guard of its own.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      noDelay: true,
      IncomingMessage: upgradableMessage(mayUpgrade),
    },
    (req, res) => {
      if (draining) res.setHeader('Connection', 'close');
      if (res.socket === null) closeWithConnection(req, res);
      if (hasBody(req.headers)) res.once('finish', () => cutLeftover(req));
      deps.listener(req, res);
    },
  );
  const upgraded = onUpgrade(server, deps.listener);
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    refuseUnparsable(error, socket, deps.newRequestId());
  });
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, () => {
          server.off('error', reject);
          resolve(server.address() as AddressInfo);
        });
      }),
    drain: async (graceMs) => {
      draining = true;
      const closed = new Promise((resolve) => server.close(resolve));
      const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
      const cut = setTimeout(() => {
        server.closeAllConnections();
        for (const socket of upgraded) socket.destroy();
      }, graceMs);
      await closed;
      clearInterval(sweep);
      clearTimeout(cut);
    },
  };
}

/** @returns the connections that are no longer the server's, and open */
function onUpgrade(server: Server, listener: RequestListener): ReadonlySet<Socket> {
  const upgraded = new Set<Socket>();
  server.on('upgrade', (req, duplex, head) => {
    // Of a server that listens on a port it always is one.
    const socket = duplex as Socket;
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    // Without a listener the process would end; what there is to do is done on close.
    socket.on('error', () => socket.destroy());
    // Sent behind a request without waiting for its answer: there is no place for a second one.
    if (carriesAnswer(socket)) socket.destroy();
    else listener(req, new UpgradeResponse(req, { socket, head }));
  });
  return upgraded;
}

/**
 * Of a request that was sent behind another one without waiting: until its turn comes the answer has no socket, and without one
 * Node doesn't tell it that the client has left. Whoever waits for that, such as a stream with its seat, would wait for ever.
 */
function closeWithConnection({ socket }: IncomingMessage, res: ServerResponse): void {
  const close = (): void => {
    if (res.socket !== null) return;
    res.destroyed = true;
    res.emit('close');
  };
  // As many as a client cares to send.
  socket.setMaxListeners(0);
  socket.once('close', close);
  res.once('close', () => socket.off('close', close));
}

function cutLeftover(req: IncomingMessage): void {
  if (req.complete) return;
  const timer = setTimeout(() => req.destroy(), LEFTOVER_TIME_MS);
  const clear = (): void => clearTimeout(timer);
  req.once('close', clear);
  // Of a connection that ends, a request whose answer is written hears nothing.
  req.socket.once('close', clear);
}

/** What Node's parser refuses never becomes a request; it is answered on the bare socket. */
function refuseUnparsable(error: NodeJS.ErrnoException, socket: Socket, requestId: string): void {
  if (error.code === 'ECONNRESET' || !socket.writable || answerHasBegun(socket)) {
    socket.destroy(error);
    return;
  }
  const problem = toProblem(toAppError(error.code), { requestId, instance: '/' });
  const body = JSON.stringify(problem.body);
  const headers = {
    ...problem.headers,
    'X-Request-Id': requestId,
    'Content-Length': Buffer.byteLength(body),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${problem.status} Refused\r\nConnection: close\r\n${lines.join('')}\r\n${body}`);
}

/** A second message on a socket whose answer has begun would read as part of that answer. */
function answerHasBegun(socket: Socket): boolean {
  const { _httpMessage: message } = socket as Socket & { _httpMessage?: ServerResponse | null };
  return message?.headersSent === true;
}

function toAppError(code: string | undefined): AppError {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new AppError('headers_too_large', `The headers may have ${HEADERS_BYTES_MAX} bytes.`);
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new AppError('request_too_slow', 'The headers took too long to arrive.');
  }
  return new AppError('malformed_request', 'This is not HTTP as RFC 9112 has it.');
}
