import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { serveRemote } from '../../frame/serve-remote';
import { type ServerAnswer, type ServerRequest, bodiesOf } from '../target';

/** Koa alone: one middleware that answers an object. Nobody is asked who he is, nothing is counted, logged or looked up. */
serveRemote(async ({ questions }: ServerRequest): Promise<ServerAnswer> => {
  const bodies = bodiesOf(questions);
  const app = new Koa();
  app.use((ctx) => {
    ctx.body = bodies.get(ctx.path);
  });
  const respond = app.callback();
  const server = createServer((req, res) => void respond(req, res));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
});
