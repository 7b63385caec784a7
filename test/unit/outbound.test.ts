/** The guarded client against real servers on the loopback: 127.0.0.1 plays the public internet, 127.0.0.2 what is private. */
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import type { OutboundRequest, OutboundResponse } from '../../src/domain/outbound/exchange';
import {
  createOutboundClient,
  type OutboundClient,
  type OutboundOptions,
} from '../../src/platform/http/outbound';
import { until } from '../support/wait';

const PUBLIC = '127.0.0.1';
const PRIVATE = '127.0.0.2';
const TLS = path.join(__dirname, '../support/tls');

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A client to which only 127.0.0.1 is open, with a DNS of its own. */
function client(names: Record<string, string[][]> = {}, more: Partial<OutboundOptions> = {}) {
  const lookups: string[] = [];
  const resolve = async (host: string): Promise<string[]> => {
    lookups.push(host);
    const answers = names[host] ?? [];
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    if (answer === undefined) throw Object.assign(new Error('none'), { code: 'ENOTFOUND' });
    return answer;
  };
  const made = createOutboundClient({ opened: [`${PUBLIC}/32`], userAgent: 'test', resolve, ...more });
  closers.push(() => made.close());
  return Object.assign(made, { lookups });
}

async function listen(server: net.Server, host: string, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
  });
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function serve(
  listener: http.RequestListener,
  host = PUBLIC,
  port = 0,
): Promise<{ port: number; hits: string[] }> {
  const hits: string[] = [];
  const server = http.createServer((req, res) => {
    hits.push(`${req.method} ${req.url}`);
    listener(req, res);
  });
  return { port: await listen(server, host, port), hits };
}

const hello: http.RequestListener = (_req, res) => res.end('hello');

const get = (to: OutboundClient, url: string, more: Partial<OutboundRequest> = {}) =>
  to.exchange({ method: 'GET', url, headers: {}, timeoutMs: 10_000, ...more });

const textOf = (response: unknown): string => Buffer.from((response as OutboundResponse).body).toString();

describe('an exchange', () => {
  test('sends method, headers and body as they are given, and gives status, headers and body', async () => {
    let seen: unknown;
    const { port } = await serve((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        seen = {
          method: req.method,
          url: req.url,
          raw: req.rawHeaders,
          body: Buffer.concat(chunks).toString(),
        };
        res.writeHead(201, { 'X-Answer': ['a', 'b'] }).end('made');
      });
    });
    const result = await client().exchange({
      method: 'POST',
      url: `http://${PUBLIC}:${port}/a%20b?c=d#e`,
      headers: { 'X-Case': 'Kept', 'User-Agent': 'mine' },
      body: 'ü',
    });
    expect(result).toMatchObject({ ok: true, status: 201, headers: { 'x-answer': 'a, b' }, cut: false });
    expect(textOf(result)).toBe('made');
    expect(seen).toMatchObject({ method: 'POST', url: '/a%20b?c=d', body: 'ü' });
    const raw = (seen as { raw: string[] }).raw;
    expect(raw).toEqual(
      expect.arrayContaining(['X-Case', 'Kept', 'User-Agent', 'mine', 'content-length', '2']),
    );
    expect(raw.filter((name) => name.toLowerCase() === 'user-agent')).toHaveLength(1);
  });

  test('uses a connection again', async () => {
    const ports = new Set<number | undefined>();
    const { port } = await serve((req, res) => {
      ports.add(req.socket.remotePort);
      hello(req, res);
    });
    const one = client({ 'a.test': [[PUBLIC]] });
    for (let i = 0; i < 3; i++) {
      expect(textOf(await get(one, `http://a.test:${port}/`))).toBe('hello');
      await setImmediate();
    }
    expect(ports.size).toBe(1);
    expect(one.lookups).toEqual(['a.test']);
  });

  test('tries the next address where one does not answer', async () => {
    const { port } = await serve(hello);
    const two = client({ 'a.test': [['127.0.0.9', PUBLIC]] }, { opened: ['127.0.0.9', PUBLIC] });
    expect(textOf(await get(two, `http://a.test:${port}/`))).toBe('hello');
  });
});

describe('what is private is not reached', () => {
  test('by address, in any notation', async () => {
    const { port, hits } = await serve(hello, PRIVATE);
    for (const host of [
      PRIVATE,
      '127.2',
      '0x7f000002',
      '[::ffff:127.0.0.2]',
      '[::ffff:7f00:2]',
      '127.0.0.2.',
    ]) {
      expect(await get(client(), `http://${host}:${port}/`)).toMatchObject({
        ok: false,
        code: 'egress_denied',
      });
    }
    expect(hits).toEqual([]);
  });

  test('by a name that leads there, alone or among public addresses, as a CNAME would', async () => {
    const { port, hits } = await serve(hello, PRIVATE);
    const names = { 'a.test': [[PRIVATE]], 'b.test': [[PUBLIC, PRIVATE]], 'c.test': [[PUBLIC, 'fd00::1']] };
    const one = client(names);
    for (const host of Object.keys(names)) {
      const result = await get(one, `http://${host}:${port}/`);
      expect(result).toMatchObject({ ok: false, code: 'egress_denied' });
      expect(JSON.stringify(result)).not.toContain(PRIVATE);
    }
    expect(hits).toEqual([]);
  });

  test('by a name that is public at the first look and private at the second: there is one look per attempt', async () => {
    const { port, hits } = await serve((_req, res) =>
      res.writeHead(200, { connection: 'close' }).end('hello'),
    );
    const inner = await serve(hello, PRIVATE, port);
    const one = client({ 'a.test': [[PUBLIC], [PRIVATE]] });
    expect(await get(one, `http://a.test:${port}/`)).toMatchObject({ ok: true, status: 200 });
    expect(one.lookups).toHaveLength(1);
    expect(await get(one, `http://a.test:${port}/`)).toMatchObject({ code: 'egress_denied' });
    expect(one.lookups).toHaveLength(2);
    expect([hits.length, inner.hits.length]).toEqual([1, 0]);
  });

  test('by a kept connection, wherever the name has moved meanwhile', async () => {
    const { port, hits } = await serve(hello);
    const inner = await serve(hello, PRIVATE, port);
    const one = client({ 'a.test': [[PUBLIC], [PRIVATE]] });
    for (let i = 0; i < 3; i++) {
      expect(await get(one, `http://a.test:${port}/`)).toMatchObject({ status: 200 });
      await setImmediate();
    }
    expect([hits.length, inner.hits.length, one.lookups.length]).toEqual([3, 0, 1]);
  });

  test.each([301, 302, 303, 307, 308])('by a redirect of status %d: it is the answer', async (status) => {
    const inner = await serve(hello, PRIVATE);
    const { port } = await serve((_req, res) =>
      res.writeHead(status, { location: `http://${PRIVATE}:${inner.port}/` }).end(),
    );
    expect(await get(client(), `http://${PUBLIC}:${port}/`)).toMatchObject({ ok: true, status });
    expect(inner.hits).toEqual([]);
  });

  test('by a socket that ended up elsewhere than it was sent', async () => {
    const { port, hits } = await serve(hello, PRIVATE);
    const astray = client({}, { dial: ({ port }) => net.connect({ host: PRIVATE, port }) });
    expect(await get(astray, `http://${PUBLIC}:${port}/`)).toMatchObject({ code: 'egress_denied' });
    expect(hits).toEqual([]);
  });

  test('by localhost, which is refused before DNS is asked unless something is opened', async () => {
    const closed = client({ localhost: [[PUBLIC]] }, { opened: [] });
    expect(await get(closed, 'http://localhost:8080/')).toMatchObject({ code: 'egress_denied' });
    expect(closed.lookups).toEqual([]);
    const { port } = await serve(hello);
    const real = createOutboundClient({ opened: ['127.0.0.0/8'], userAgent: 'test' });
    closers.push(() => real.close());
    expect(textOf(await get(real, `http://localhost:${port}/`))).toBe('hello');
  });

  test('nor is a proxy of the environment asked', async () => {
    const proxy = await serve(hello);
    const { port, hits } = await serve(hello);
    const inner = await serve(hello, PRIVATE);
    const before = { ...process.env };
    Object.assign(process.env, {
      HTTP_PROXY: `http://${PUBLIC}:${proxy.port}`,
      http_proxy: `http://${PUBLIC}:${proxy.port}`,
      ALL_PROXY: `http://${PUBLIC}:${proxy.port}`,
      NODE_USE_ENV_PROXY: '1',
    });
    try {
      expect(await get(client(), `http://${PUBLIC}:${port}/`)).toMatchObject({ status: 200 });
      expect(await get(client(), `http://${PRIVATE}:${inner.port}/`)).toMatchObject({
        code: 'egress_denied',
      });
    } finally {
      for (const name of ['HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'])
        delete process.env[name];
      Object.assign(process.env, before);
    }
    expect([proxy.hits.length, hits.length, inner.hits.length]).toEqual([0, 1, 0]);
  });
});

describe('one deadline', () => {
  const short = { timeoutMs: 150 };

  test('holds over a DNS that never answers', async () => {
    const silent = client({}, { resolve: () => new Promise(() => undefined) });
    expect(await get(silent, 'http://a.test/', short)).toMatchObject({ code: 'timeout' });
  });

  test('holds over a connection that is never made', async () => {
    const silent = client({}, { dial: () => new net.Socket() });
    expect(await get(silent, `http://${PUBLIC}:8080/`, short)).toMatchObject({ code: 'timeout' });
    const slow = client({}, { dial: () => new net.Socket(), connectTimeoutMs: 50 });
    expect(await get(slow, `http://${PUBLIC}:8080/`)).toMatchObject({ code: 'connect_failed' });
  });

  test.each<[string, (socket: net.Socket) => void]>([
    ['headers that never come', () => undefined],
    [
      'headers that drip',
      (socket) => drip(socket, 'HTTP/1.1 200 OK\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'),
    ],
    [
      'a body that drips',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n');
        drip(socket, 'x'.repeat(1_000));
      },
    ],
  ])('holds over %s', async (_name, answer) => {
    const port = await listen(
      net.createServer((socket) => void socket.once('data', () => answer(socket))),
      PUBLIC,
    );
    expect(await get(client(), `http://${PUBLIC}:${port}/`, short)).toMatchObject({ code: 'timeout' });
  });

  test("the caller's signal ends it at once, and the connection with it", async () => {
    let closed = false;
    const { port, hits } = await serve((req) => void req.on('close', () => (closed = true)));
    const controller = new AbortController();
    const asked = get(client(), `http://${PUBLIC}:${port}/`, { signal: controller.signal });
    await until('the request', () => hits.length === 1);
    controller.abort();
    expect(await asked).toMatchObject({ code: 'aborted' });
    await until('the end of the connection', () => closed);
    expect(await get(client(), `http://${PUBLIC}:${port}/`, { signal: controller.signal })).toMatchObject({
      code: 'aborted',
    });
  });
});

function drip(socket: net.Socket, text: string): void {
  let at = 0;
  const timer = setInterval(
    () => (socket.destroyed ? clearInterval(timer) : socket.write(text.charAt(at++))),
    20,
  );
  socket.on('close', () => clearInterval(timer));
}

describe('the body', () => {
  const MAX = 10_000;
  const TEXT = 'na'.repeat(4_000);

  test.each<[string, (body: Buffer) => Buffer, string]>([
    ['gzip', gzipSync, 'gzip'],
    ['brotli', brotliCompressSync, 'br'],
    ['deflate', deflateSync, 'deflate'],
    ['deflate without its wrapper', deflateRawSync, 'deflate'],
    ['gzip twice', (body) => gzipSync(gzipSync(body)), 'gzip, GZIP'],
    ['identity', (body) => body, 'identity'],
  ])('comes decompressed from %s, and a bomb is stopped at the limit', async (_name, compress, encoding) => {
    const bomb = compress(Buffer.alloc(5_000_000));
    const { port } = await serve((req, res) => {
      res.writeHead(200, { 'content-encoding': encoding });
      res.end(req.url === '/bomb' ? bomb : compress(Buffer.from(TEXT)));
    });
    const to = client();
    expect(textOf(await get(to, `http://${PUBLIC}:${port}/`, { responseBytesMax: MAX }))).toBe(TEXT);
    const bombUrl = `http://${PUBLIC}:${port}/bomb`;
    expect(await get(to, bombUrl, { responseBytesMax: MAX })).toMatchObject({ code: 'response_too_large' });
    const cut = await get(to, bombUrl, { responseBytesMax: MAX, overflow: 'cut' });
    expect(cut).toMatchObject({ ok: true, cut: true });
    expect((cut as OutboundResponse).body).toHaveLength(MAX);
  });

  test('of exactly the limit is whole, one byte more is too large, and without end it is left', async () => {
    let closed = false;
    const { port } = await serve((req, res) => {
      if (req.url !== '/endless') return void res.end('x'.repeat(Number(req.url?.slice(1))));
      res.on('close', () => (closed = true));
      const more = (): void => {
        while (!closed && res.write('x'.repeat(65_536)));
      };
      res.on('drain', more);
      more();
    });
    const to = client();
    const at = (route: string) => get(to, `http://${PUBLIC}:${port}/${route}`, { responseBytesMax: MAX });
    expect(await at(String(MAX))).toMatchObject({ ok: true, cut: false });
    expect(await at(String(MAX + 1))).toMatchObject({ code: 'response_too_large' });
    expect(await at('endless')).toMatchObject({ code: 'response_too_large' });
    await until('the end of the endless', () => closed);
  });

  test('may be 1 MiB where nothing else is said', async () => {
    const { port } = await serve((req, res) => res.end(Buffer.alloc(Number(req.url?.slice(1)))));
    expect(await get(client(), `http://${PUBLIC}:${port}/1048576`)).toMatchObject({ ok: true });
    expect(await get(client(), `http://${PUBLIC}:${port}/1048577`)).toMatchObject({
      code: 'response_too_large',
    });
  });

  test.each([
    ['gzip', 'not gzip'],
    ['gzip', gzipSync(TEXT).subarray(0, 30)],
    ['compress', 'x'],
    ['gzip, gzip, gzip, gzip', 'x'],
  ])('that is not %s is an invalid response', async (encoding, body) => {
    const { port } = await serve((_req, res) =>
      res.writeHead(200, { 'content-encoding': encoding }).end(body),
    );
    expect(await get(client(), `http://${PUBLIC}:${port}/`)).toMatchObject({ code: 'invalid_response' });
  });

  test('of HEAD, 204 and 304 is empty, whatever their headers promise', async () => {
    const { port } = await serve((req, res) =>
      res.writeHead(Number(req.url?.slice(1)), { 'content-encoding': 'gzip' }).end(),
    );
    for (const [method, status] of [
      ['HEAD', 200],
      ['GET', 204],
      ['GET', 304],
    ] as const) {
      const result = await get(client(), `http://${PUBLIC}:${port}/${status}`, { method });
      expect(result).toMatchObject({ ok: true, status });
      expect(textOf(result)).toBe('');
    }
  });
});

describe('failures are told apart', () => {
  test('a name that DNS does not know', async () => {
    expect(await get(client(), 'http://nowhere.test/')).toMatchObject({ code: 'dns_failed' });
    expect(await get(client({ 'a.test': [[]] }), 'http://a.test/')).toMatchObject({ code: 'dns_failed' });
  });

  test('a port where nobody listens', async () => {
    const { port } = await serve(hello);
    await closers.pop()?.();
    expect(await get(client(), `http://${PUBLIC}:${port}/`)).toMatchObject({
      code: 'connect_failed',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test.each<[string, string, string]>([
    ['breaks off before the answer', '', 'connection_lost'],
    ['breaks off within the headers', 'HTTP/1.1 200 OK\r\nX-', 'connection_lost'],
    ['breaks off within the body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', 'connection_lost'],
    [
      'breaks off within a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab',
      'connection_lost',
    ],
    ['speaks something else', 'SSH-2.0-OpenSSH_9\r\n', 'invalid_response'],
    ['has headers without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`, 'invalid_response'],
  ])('a server that %s', async (_name, answer, code) => {
    const server = net.createServer((socket) => void socket.once('data', () => socket.end(answer)));
    const port = await listen(server, PUBLIC);
    expect(await get(client(), `http://${PUBLIC}:${port}/`)).toMatchObject({ ok: false, code });
  });

  test('a certificate that nobody vouches for, also where the environment would not mind', async () => {
    const keys = {
      key: readFileSync(path.join(TLS, 'key.pem')),
      cert: readFileSync(path.join(TLS, 'cert.pem')),
    };
    let hits = 0;
    const port = await listen(
      https.createServer(keys, () => hits++),
      PUBLIC,
    );
    const to = client({ 'good.example.com': [[PUBLIC]] });
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      for (const host of [PUBLIC, 'good.example.com']) {
        expect(await get(to, `https://${host}:${port}/`)).toMatchObject({ code: 'tls_failed' });
      }
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
    expect(hits).toBe(0);
  });

  test('https to a server that speaks http, and a handshake that breaks off', async () => {
    const { port } = await serve(hello);
    expect(await get(client(), `https://${PUBLIC}:${port}/`)).toMatchObject({ code: 'tls_failed' });
    const rude = await listen(
      net.createServer((socket) => void socket.once('data', () => socket.destroy())),
      PUBLIC,
    );
    expect(await get(client(), `https://${PUBLIC}:${rude}/`)).toMatchObject({ code: 'connect_failed' });
  });

  test('a request that cannot be sent', async () => {
    const to = client();
    expect(await get(to, 'nonsense')).toMatchObject({ code: 'invalid_request' });
    const { port } = await serve(hello);
    const url = `http://${PUBLIC}:${port}/`;
    for (const headers of [{ 'a b': 'c' }, { a: 'b\r\nc: d' }, { connection: 'upgrade', upgrade: 'x' }]) {
      expect(await get(to, url, { headers })).toMatchObject({ code: 'invalid_request' });
    }
    expect(await get(to, url, { method: 'GE T' })).toMatchObject({ code: 'invalid_request' });
  });
});

test('one dead host does not keep another waiting', async () => {
  const { port } = await serve(hello);
  const to = client({ 'live.test': [[PUBLIC]] });
  const dead = await listen(net.createServer(), PUBLIC);
  const stuck = Array.from({ length: 50 }, () => get(to, `http://${PUBLIC}:${dead}/`, { timeoutMs: 5_000 }));
  expect(await get(to, `http://live.test:${port}/`)).toMatchObject({ status: 200 });
  await to.close();
  for (const result of await Promise.all(stuck)) expect(result.ok).toBe(false);
});
