import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { AppError } from '../../src/domain/errors';
import { createApp } from '../../src/api/app';
import type { RequestLine } from '../../src/api/ports';
import { ok, taken } from '../../src/api/respond';
import { defineRoute, type Route } from '../../src/api/route';
import { type ApiServer, createApiServer } from '../../src/api/server';
import { UpgradeResponse, upgradesOf } from '../../src/api/upgrade';
import { newId } from '../../src/platform/clock';
import { recognising } from '../support/known-keys';
import { noRateLimit } from '../support/limits';
import { until } from '../support/wait';
import { silent } from './realtime-support';

let server: ApiServer;
let port: number;
const lines: RequestLine[] = [];
/** Connections that were handed over, as the route got them. */
const handed: Socket[] = [];

const echo: Route = defineRoute({
  method: 'get',
  path: '/echo',
  operationId: 'echo',
  summary: 'Echoes, as another protocol',
  tags: [],
  scopes: 'public',
  query: z.strictObject({ a: z.string().optional() }),
  upgrade: 'websocket',
  responses: {},
  handler: async ({ ctx }) => {
    if (ctx.get('X-Refuse') !== '') throw new AppError('not_found', 'Refused.');
    if (!(ctx.res instanceof UpgradeResponse)) return ok({ upgraded: false });
    ctx.res.handOver(({ socket, head }) => {
      handed.push(socket);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n\r\n${head.toString()}`);
      socket.pipe(socket);
    });
    return taken();
  },
});

const plain: Route = defineRoute({
  method: 'post',
  path: '/plain',
  operationId: 'plain',
  summary: 'Answers its body',
  tags: [],
  scopes: 'public',
  rawBody: ['text/plain'],
  responses: {},
  handler: async ({ ctx }) => {
    let text = '';
    for await (const chunk of ctx.req) text += String(chunk);
    return ok({ text });
  },
});

beforeAll(async () => {
  const unused = (): never => {
    throw new Error('these routes write nothing');
  };
  const routes = [echo, plain];
  const app = createApp({
    routes,
    log: { ...silent, request: (_level, line) => lines.push(line) },
    newRequestId: () => newId('request'),
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    ...recognising(async () => undefined),
    idempotency: { claim: unused, complete: unused, release: unused },
    transact: unused,
    secretBox: { seal: unused, open: unused },
  });
  const answer = app.callback();
  server = createApiServer({
    listener: (req, res) => void answer(req, res),
    newRequestId: () => newId('request'),
    mayUpgrade: upgradesOf(routes),
  });
  ({ port } = await server.listen({ host: '127.0.0.1', port: 0 }));
});

beforeEach(() => lines.splice(0));
afterAll(() => server.drain(0));

interface Line {
  socket: Socket;
  readonly text: string;
  ended: Promise<unknown>;
}

/** Bytes on the wire, for what no HTTP client would send. */
async function open(text: string): Promise<Line> {
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString();
  });
  socket.on('error', () => undefined);
  const ended = once(socket, 'close');
  await once(socket, 'connect');
  socket.write(text);
  return {
    socket,
    ended,
    get text() {
      return received;
    },
  };
}

const upgrade = (path: string, more = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n${more}\r\n`;

test('a connection is handed over with what the client has sent already, and is HTTP no more', async () => {
  const line = await open(`${upgrade('/echo?a=1')}first `);
  line.socket.write('second');
  await until('an echo', () => line.text.endsWith('\r\n\r\nfirst second'));
  expect(line.text).toMatch(/^HTTP\/1.1 101 /);
  line.socket.destroy();
  await until('an answer', () => lines.length === 1);
  expect(lines[0]).toMatchObject({ route: '/echo', status: 101, path: '/echo' });
  expect(lines[0]?.aborted).toBeUndefined();
});

test('what refuses it is a problem like any other, after which the connection closes', async () => {
  const line = await open(upgrade('/echo', 'X-Refuse: 1\r\nX-Request-Id: mine\r\n'));
  await line.ended;
  expect(line.text).toMatch(/^HTTP\/1.1 404 /);
  expect(line.text).toMatch(/Connection: close/);
  expect(line.text).toMatch(/X-Request-Id: mine/);
  expect(line.text).toContain('"code":"not_found"');
  await until('an answer', () => lines.length === 1);
  expect(lines[0]).toMatchObject({ status: 404 });
  expect(lines[0]?.aborted).toBeUndefined();
});

test.each([
  ['another address', upgrade('/other', 'X: 1\r\n'), 404],
  ['a body', upgrade('/echo', 'Content-Length: 2\r\n').concat('{}'), 200],
  ['another protocol', upgrade('/echo').replace('WebSocket', 'h2c'), 200],
  ['another method', upgrade('/echo').replace('GET', 'HEAD'), 200],
])(
  'a request to upgrade with %s is answered as if it had not asked, and the connection goes on',
  async (_what, text, status) => {
    const line = await open(text);
    await until('an answer', () => line.text.includes('\r\n\r\n'));
    expect(line.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(line.text).toMatch(/Connection: keep-alive/);
    line.socket.destroy();
  },
);

test('a POST that offers HTTP/2, as the client of Java does, is read with its body', async () => {
  const head = 'POST /plain HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n';
  const line = await open(
    `${head}HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole`,
  );
  await until('an answer', () => line.text.includes('"text":"whole"'));
  line.socket.destroy();
});

test('an upgrade that is sent behind a request without waiting harms nobody', async () => {
  const head =
    'POST /plain HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole';
  const line = await open(`${head}${upgrade('/echo')}`);
  await line.ended;
  const after = await open(upgrade('/echo', 'X-Refuse: 1\r\n'));
  await after.ended;
  expect(after.text).toMatch(/^HTTP\/1.1 404 /);
});

test('a client that resets its connection at any time harms nobody', async () => {
  for (let n = 0; n < 30; n++) {
    const line = await open(upgrade('/echo'));
    if (n % 3 === 1) await until('an answer', () => line.text !== '');
    if (n % 3 === 2) line.socket.write('x'.repeat(100_000));
    line.socket.resetAndDestroy();
    await line.ended;
  }
  const line = await open(upgrade('/echo'));
  await until('an answer', () => line.text.startsWith('HTTP/1.1 101 '));
  line.socket.destroy();
});

test('CONNECT is refused, as it was', async () => {
  const line = await open(
    'CONNECT x:1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
  );
  await line.ended;
  expect(line.text).toBe('');
});

test('a drain waits for what was handed over, and cuts it when its time is up', async () => {
  const own = createApiServer({
    listener: (_req, res) => void (res as UpgradeResponse).handOver(({ socket }) => void socket.write('101')),
    newRequestId: () => 'x',
    mayUpgrade: () => true,
  });
  const { port: ownPort } = await own.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect(ownPort, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(upgrade('/'));
  await once(socket, 'data');
  const closed = once(socket, 'close');
  await own.drain(50);
  await closed;
});
