/** Closing a connection whose client is still sending, so that the client gets to its answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface LingerLimits {
  bytesMax: number;
  timeMaxMs: number;
}

/**
 * Whoever closes a socket with unread bytes makes TCP reset it, and a reset can overtake the answer. So the answer goes out
 * with `Connection: close`, then only our side is closed, and what still comes is thrown away for a moment.
 */
export function closeAfterAnswer(req: IncomingMessage, res: ServerResponse, limits: LingerLimits): void {
  res.shouldKeepAlive = false;
  const { socket } = req;
  // What the HTTP server calls when the last answer of a connection is written.
  socket.destroySoon = () => linger(req, socket, limits);
}

function linger(req: IncomingMessage, socket: Socket, limits: LingerLimits): void {
  const enough = socket.bytesRead + limits.bytesMax;
  const stop = (): void => {
    clearTimeout(timer);
    socket.destroy();
  };
  const timer = setTimeout(stop, limits.timeMaxMs);
  if (req.readableEnded || socket.destroyed) return stop();
  req.on('data', () => {
    if (socket.bytesRead > enough) stop();
  });
  // The socket's own end: a request whose answer is written hears no more of its connection.
  req.once('end', stop).once('error', stop);
  socket.once('close', stop);
  socket.end();
  req.resume();
}
