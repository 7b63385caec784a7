/** The WebSocket handshake, by ws: the only module that makes use of it. */
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import { AppError } from '../../domain/errors';
import type { Handed } from '../upgrade';
import { COMMAND_BYTES_MAX } from './socket-protocol';

/** The only one there is; a client need not ask for any. */
export const SUBPROTOCOL = 'millrace.v1';
/** Of one command; more is an attempt on memory. */
const FRAGMENTS_MAX = 64;
/** Smaller messages are not worth the work. */
const DEFLATE_FROM_BYTES = 1_024;

export interface SocketServerOptions {
  /** Grants permessage-deflate to clients that ask for it. */
  deflate: boolean;
  /** that a client has to read what is pending and to answer the close */
  closeTimeoutMs: number;
}

export interface SocketServer {
  /**
   * Answers 101 with these headers. undefined where the client left.
   * @throws AppError `malformed_request`; then nothing has been written
   */
  accept(req: IncomingMessage, handed: Handed, headers: OutgoingHttpHeaders): WebSocket | undefined;
}

export function createSocketServer(options: SocketServerOptions): SocketServer {
  const server = new WebSocketServer(serverOptions(options));
  /** of the handshake that is being made: it is one step */
  let added: OutgoingHttpHeaders = {};
  let refusal: Error | undefined;
  server.on('headers', (lines) => {
    for (const [name, value] of Object.entries(added)) lines.push(`${name}: ${String(value)}`);
  });
  server.on('wsClientError', (error) => {
    refusal = error;
  });
  return {
    accept: (req, { socket, head }, headers) => {
      let accepted: WebSocket | undefined;
      added = headers;
      refusal = undefined;
      server.handleUpgrade(req, socket, head, (ws) => {
        accepted = ws;
      });
      if (refusal !== undefined) throw new AppError('malformed_request', `${(refusal as Error).message}.`);
      return accepted;
    },
  };
}

function serverOptions({ deflate, closeTimeoutMs }: SocketServerOptions) {
  return {
    noServer: true,
    clientTracking: false,
    maxPayload: COMMAND_BYTES_MAX,
    maxFragments: FRAGMENTS_MAX,
    closeTimeout: closeTimeoutMs,
    perMessageDeflate: deflate && {
      threshold: DEFLATE_FROM_BYTES,
      // What is kept from message to message costs hundreds of kilobytes a connection.
      serverNoContextTakeover: true,
      clientNoContextTakeover: true,
    },
    handleProtocols: (offered: Set<string>) => offered.has(SUBPROTOCOL) && SUBPROTOCOL,
  };
}
