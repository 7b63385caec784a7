import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { EventSource } from 'eventsource';
import { createSseHub, type SseHub, type SseHubOptions } from '../../src/api/realtime/sse-hub';
import type { Message, Subscriber } from '../../src/api/realtime/transport';
import { until } from '../support/wait';

interface Served {
  hub: SseHub;
  port: number;
  clients: Subscriber[];
  cut(): number;
}

const cleanUps: (() => void)[] = [];

afterEach(() => {
  for (const cleanUp of cleanUps.splice(0).reverse()) cleanUp();
});

type Listener = (hub: SseHub, req: IncomingMessage, res: ServerResponse) => Subscriber | undefined;

/** An HTTP server all of whose requests join the hub, unless `listener` does otherwise. */
async function serve(options: Partial<SseHubOptions> = {}, listener?: Listener): Promise<Served> {
  let cut = 0;
  const metrics = {
    opened: () => undefined,
    closed: () => undefined,
    cutOff: () => void cut++,
    delivered: () => undefined,
  };
  const hub = createSseHub({ random: () => 0.5, metrics, ...options });
  const clients: Subscriber[] = [];
  const join: Listener = listener ?? ((_hub, req, res) => hub.join({ req, res }));
  const server: Server = createServer((req, res) => {
    const client = join(hub, req, res);
    if (client !== undefined) clients.push(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(() => {
    hub.drain();
    server.closeAllConnections();
    server.close();
  });
  return { hub, port: (server.address() as AddressInfo).port, clients, cut: () => cut };
}

interface RawClient {
  socket: Socket;
  text(): string;
}

function dial(port: number, request: string): RawClient {
  const chunks: Buffer[] = [];
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => void chunks.push(chunk));
  socket.write(request);
  cleanUps.push(() => socket.destroy());
  return { socket, text: () => Buffer.concat(chunks).toString('utf8') };
}

const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
const told = (data: string, id?: number): Message => ({
  ...(id === undefined ? {} : { id }),
  event: 'event',
  data,
});

/** By RFC 9112 §7.1, strictly: what it can't read is a failure. */
function dechunked(text: string): string {
  let body = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4));
  let out = '';
  while (body.length > 0) {
    const line = body.indexOf('\r\n');
    const size = Number.parseInt(body.subarray(0, line).toString('latin1'), 16);
    if (Number.isNaN(size)) throw new Error('no chunk');
    if (size === 0) break;
    out += body.subarray(line + 2, line + 2 + size).toString('utf8');
    expect(body.subarray(line + 2 + size, line + 4 + size).toString()).toBe('\r\n');
    body = body.subarray(line + 4 + size);
  }
  return out;
}

describe('the line rules of event streams', () => {
  const texts = [
    'one\ntwo',
    'one\r\ntwo\rthree',
    ' leading',
    'data: x',
    ':colon',
    '',
    '✓ 😀',
    '\u2028',
    '\uFEFFbom',
    '\n',
    '\n\n',
  ];

  test('a real EventSource reads what was told: newlines, CRLF, unicode, colons, empty data', async () => {
    const { hub, port, clients } = await serve();
    const source = new EventSource(`http://127.0.0.1:${port}/`);
    cleanUps.push(() => source.close());
    const got: { id: string; data: unknown }[] = [];
    source.addEventListener('event', ({ lastEventId, data }) => void got.push({ id: lastEventId, data }));
    await until('the client', () => clients.length === 1);
    for (const [i, data] of texts.entries()) hub.tell('topic', told(data, i + 1), clients);
    await until('all', () => got.length === texts.length);
    expect(got).toEqual(
      texts.map((data, i) => ({ id: String(i + 1), data: data.replace(/\r\n|\r/g, '\n') })),
    );
  });

  test('a mark moves the cursor that a client comes back with; what has no id leaves it as it is', async () => {
    const cursors: unknown[] = [];
    const { hub, port, clients } = await serve({ retryMs: 10 }, (own, req, res) => {
      cursors.push(req.headers['last-event-id']);
      return own.join({ req, res });
    });
    const source = new EventSource(`http://127.0.0.1:${port}/`);
    cleanUps.push(() => source.close());
    const got: string[] = [];
    for (const type of ['event', 'reset']) {
      source.addEventListener(type, (event) => void got.push(`${type} ${event.lastEventId}`));
    }
    await until('the client', () => clients.length === 1);
    hub.tell('topic', told('{}', 7), clients);
    hub.mark('topic', 9_007_199_254_740_991, clients);
    hub.tell('topic', { event: 'reset', data: '{}' }, clients);
    await until('both', () => got.length === 2);
    expect(got[0]).toBe('event 7');
    clients[0]?.end('unavailable');
    await until('the client back', () => cursors.length === 2);
    expect(cursors).toEqual([undefined, '9007199254740991']);
  });
});

describe('over the wire', () => {
  const messages = [told('{"a":"é😀"}', 1), told('two\nlines', 2)];
  const framed =
    'event: event\nid: 1\ndata: {"a":"é😀"}\n\n' + 'event: event\nid: 2\ndata: two\ndata: lines\n\n';

  test('HTTP/1.1 gets chunks that a strict reader takes, and an end', async () => {
    const { hub, port, clients } = await serve({ retryMs: 2_000 });
    const { text } = dial(port, GET);
    await until('the client', () => clients.length === 1);
    for (const message of messages) hub.tell('topic', message, clients);
    clients[0]?.end('over');
    await until('the end', () => text().endsWith('\r\n0\r\n\r\n'));
    expect(text()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(dechunked(text())).toBe(`:ok\n\nretry: 2000\n${framed}`);
    expect(clients[0]?.closed).toBe(true);
  });

  test('one for whom something is away is told when to come back, which is another time for each', async () => {
    let chance = 0.5;
    const { port, clients } = await serve({ retryMs: 2_000, random: () => chance });
    const texts = [dial(port, GET), dial(port, GET)].map(({ text }) => text);
    await until('the clients', () => clients.length === 2);
    clients[0]?.end('unavailable');
    chance = 1;
    clients[1]?.end('unavailable');
    await until('the ends', () => texts.every((text) => text().endsWith('\r\n0\r\n\r\n')));
    const ends = texts.map((text) => dechunked(text()).replace(':ok\n\nretry: 2000\n', '')).sort();
    expect(ends).toEqual(['retry: 3000\n\n', 'retry: 5000\n\n']);
  });

  test('HTTP/1.0 gets the bytes as they are', async () => {
    const { hub, port, clients } = await serve({ retryMs: 2_000 });
    const { socket, text } = dial(port, 'GET / HTTP/1.0\r\n\r\n');
    await until('the client', () => clients.length === 1);
    for (const message of messages) hub.tell('topic', message, clients);
    clients[0]?.end('over');
    await once(socket, 'end');
    expect(text().slice(text().indexOf('\r\n\r\n') + 4)).toBe(`:ok\n\nretry: 2000\n${framed}`);
  });

  test('a stream asked for behind an answer that is still to come waits for it', async () => {
    let first: ServerResponse | undefined;
    const { hub, port, clients } = await serve({ retryMs: 2_000 }, (own, req, res) => {
      if (req.url !== '/slow') return own.join({ req, res });
      first = res;
      return undefined;
    });
    const { text } = dial(port, `GET /slow HTTP/1.1\r\nHost: x\r\n\r\n${GET}`);
    await until('both', () => clients.length === 1 && first !== undefined);
    for (const message of messages.slice(0, 1)) hub.tell('topic', message, clients);
    expect(text()).toBe('');
    first?.setHeader('Content-Length', 4).end('slow');
    await until('the stream', () => text().includes('id: 1'));
    for (const message of messages.slice(1)) hub.tell('topic', message, clients);
    await until('all', () => text().includes('data: lines'));
    const stream = text().slice(text().indexOf('slow') + 4);
    expect(stream).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(dechunked(`${stream}0\r\n\r\n`)).toBe(`:ok\n\nretry: 2000\n${framed}`);
  });

  test('one message told in two calls is the same bytes to all', async () => {
    const { hub, port, clients } = await serve({ retryMs: 2_000 });
    const [one, two] = [dial(port, GET), dial(port, GET)];
    await until('both', () => clients.length === 2);
    const message = told('{}', 3);
    for (const client of clients) hub.tell('topic', message, [client]);
    await until('both', () => one.text().includes('id: 3') && two.text().includes('id: 3'));
    expect(dechunked(`${one.text()}0\r\n`)).toBe(dechunked(`${two.text()}0\r\n`));
  });
});

describe('readers that do not read', () => {
  const filler = told('x'.repeat(65_536));

  test('are cut off at the limit, and counted; the others get everything', async () => {
    const { hub, port, clients, cut } = await serve({ pendingBytesMax: 262_144 });
    const reader = dial(port, GET);
    await until('the reader', () => clients.length === 1);
    const stalled = dial(port, GET);
    stalled.socket.pause();
    await until('both', () => clients.length === 2);
    let sent = 0;
    while (cut() === 0) {
      hub.tell('topic', filler, clients);
      sent++;
      await until('the reader', () => reader.text().length > sent * 65_536);
      if (sent > 400) throw new Error('it was not cut off');
    }
    await until('one left', () => hub.clients === 1);
    expect(cut()).toBe(1);
    expect(clients.map(({ closed }) => closed)).toEqual([false, true]);
  });

  test('are cut off after a while, where their stream has ended and what is left is not read', async () => {
    const { hub, port, clients, cut } = await serve({ drainedTimeoutMs: 50, pendingBytesMax: 1e8 });
    dial(port, GET).socket.pause();
    await until('the client', () => clients.length === 1);
    for (let sent = 0; sent < 200; sent++) hub.tell('topic', filler, clients);
    clients[0]?.end('over');
    await until('no clients', () => hub.clients === 0);
    expect(cut()).toBe(1);
  });

  test('hold up whoever waits for them no longer than that', async () => {
    const { hub, port, clients, cut } = await serve({ drainedTimeoutMs: 50, pendingBytesMax: 1e8 });
    dial(port, GET).socket.pause();
    await until('the client', () => clients.length === 1);
    for (let sent = 0; sent < 200; sent++) hub.tell('topic', filler, clients);
    await clients[0]?.drained();
    await until('no clients', () => hub.clients === 0);
    expect(cut()).toBe(1);
  });
});

test('every client is sent comments, also where there are many', async () => {
  const { hub, port, clients } = await serve({ pingMs: 40 });
  const dialled = Array.from({ length: 20 }, () => dial(port, GET));
  await until('the clients', () => clients.length === 20);
  const comments = ({ text }: RawClient): number =>
    text()
      .split('\n')
      .filter((line) => line === ':').length;
  await until('comments', () => dialled.every((client) => comments(client) >= 3));
  for (const { socket } of dialled) socket.destroy();
  await until('no clients', () => hub.clients === 0);
});

test('a drain spreads the returns over the longer, the more clients there are', async () => {
  let n = 0;
  const { hub, port, clients } = await serve({ retryMs: 10, random: () => n++ / 100 });
  const dialled = Array.from({ length: 100 }, () => dial(port, GET));
  await until('the clients', () => clients.length === 100);
  hub.drain();
  await until('the ends', () => dialled.every(({ text }) => text().endsWith('0\r\n\r\n')));
  const back = dialled.map(({ text }) => Number([...text().matchAll(/retry: (\d+)/g)].at(-1)?.[1]));
  expect(Math.min(...back)).toBe(5);
  expect(Math.max(...back)).toBeGreaterThanOrEqual(195);
  expect(new Set(back).size).toBeGreaterThan(90);
});

test('who joins a hub that drains is sent away at once, with a time to come back', async () => {
  const { hub, port } = await serve({ retryMs: 2_000 });
  hub.drain();
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect(await response.text()).toBe(':ok\n\nretry: 2000\nretry: 3000\n\n');
  expect(hub.clients).toBe(0);
});
