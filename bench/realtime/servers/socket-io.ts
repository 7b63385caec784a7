import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { serveRemote } from '../../frame/serve-remote';
import { collectOnSignal } from '../garbage';
import { first, type ServerAnswer, type ServerRequest } from '../target';

/**
 * Socket.IO as its documentation sets it up, with its Redis Streams adapter, a room for each topic, and without the first request
 * of each connection, which its page on memory says to let go of. Nobody is asked who he is.
 */
serveRemote(async ({ redisUrl }: ServerRequest): Promise<ServerAnswer> => {
  collectOnSignal();
  const server = createServer();
  const io = new Server(server, { adapter: createAdapter(new Redis(redisUrl)) });
  io.engine.on('connection', (rawSocket: { request: unknown }) => {
    rawSocket.request = null;
  });
  io.on('connection', (socket) => {
    const { topic } = socket.handshake.auth as { topic: string };
    void socket.join(topic);
    socket.emit(first, { id: topic, status: 'running' });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port };
});
