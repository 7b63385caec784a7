import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Channel, createChannel, createSession } from 'better-sse';
import { Redis } from 'ioredis';
import { serveRemote } from '../../frame/serve-remote';
import { collectOnSignal } from '../garbage';
import { channelOf } from '../publishers/better-sse';
import { first, later, type ServerAnswer, type ServerRequest } from '../target';

/**
 * better-sse as its guides set it up: a session for each client, a channel for each topic, on Node's own HTTP server; by one
 * subscription to Redis' channels. Nobody is asked who he is, nothing is kept for those who come back, and nobody looks whether
 * a client reads.
 */
serveRemote(async ({ redisUrl, topics }: ServerRequest): Promise<ServerAnswer> => {
  collectOnSignal();
  const channels = new Map<string, Channel>(topics.map((topic) => [channelOf(topic), createChannel()]));
  const redis = new Redis(redisUrl);
  redis.on('message', (name, message) => channels.get(name)?.broadcast(JSON.parse(message), later));
  await redis.subscribe(...channels.keys());
  const server = createServer((req, res) => {
    const [, topic = ''] = /^\/v1\/jobs\/([^/]+)\/events$/.exec(req.url ?? '') ?? [];
    const channel = channels.get(channelOf(topic));
    if (channel === undefined) return void res.writeHead(404).end();
    void createSession(req, res).then((session) => {
      channel.register(session);
      session.push({ id: topic, status: 'running' }, first);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port };
});
