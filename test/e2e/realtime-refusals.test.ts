/** Who may not follow gets a clean refusal, and what is no cursor a new beginning: by both transports, over two API processes. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Client } from 'pg';
import { tryDecodeId } from '../../src/domain/ids';
import { type ApiClient, createApiClient } from '../support/api-client';
import { parseEventStream } from '../support/event-stream';
import { createJob } from '../support/job-client';
import { type OpenStream, openStream } from '../support/open-stream';
import { type Product, startProduct } from '../support/product';
import { openSocket, refusal, type SocketClient } from '../support/socket-client';
import { until } from '../support/wait';

let product: Product;
/** of one tenant, at the first process */
let owner: ApiClient;
let tenantId: string;
/** of another */
let stranger: ApiClient;
/** the second process */
let second: string;
let database: Client;
let job: string;
const streams: OpenStream[] = [];
const sockets: SocketClient[] = [];

beforeAll(async () => {
  product = await startProduct({ env: { MILLRACE_AUTH_FAILURES_PER_MINUTE: '0' } });
  second = (await product.startApi()).url;
  ({ client: owner, tenantId } = await newTenant());
  ({ client: stranger } = await newTenant());
  database = new Client({ connectionString: product.databaseUrl });
  await database.connect();
  job = (await createJob(owner, { handler: 'echo' })).id;
});
afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
  for (const socket of sockets.splice(0)) socket.ws.terminate();
});
afterAll(async () => {
  await database.end();
  await product.close();
});

async function newTenant(): Promise<{ client: ApiClient; tenantId: string }> {
  const { id } = await product.json<{ id: string }>('POST', '/v1/tenants', { name: 't', plan: 'unlimited' });
  const body = { name: 'k', tenant_id: id, scopes: ['jobs:read', 'jobs:write', 'events:read'] };
  const { secret } = await product.json<{ secret: string }>('POST', '/v1/api-keys', body);
  return { client: createApiClient({ url: product.url, key: secret }), tenantId: id };
}

interface Wish {
  key?: string;
  ticket?: string;
  /** of a job */
  job?: string;
  from?: string | number;
}

/** What follows: the names of the first two messages, or the code of the refusal. */
type Follow = (url: string, wish: Wish) => Promise<string | string[]>;

const byStream: Follow = async (url, { job: id, from, ...wish }) => {
  const path = id === undefined ? '/v1/events/stream' : `/v1/jobs/${id}/events`;
  const query = from === undefined ? '' : `?last_event_id=${encodeURIComponent(from)}`;
  const stream = await openStream({ url }, `${path}${query}`, wish);
  streams.push(stream);
  if (stream.status !== 200) {
    await until('the refusal', () => stream.hasEnded);
    return (JSON.parse(stream.text) as { code: string }).code;
  }
  const messages = () => parseEventStream(stream.text);
  await until('the beginning', () => messages().length >= (from === undefined ? 1 : 2));
  return messages().map(({ event }) => event);
};

const bySocket: Follow = async (url, { job: id, from, key, ticket }) => {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const query = ticket === undefined ? '' : `?ticket=${ticket}`;
  const address = `${url.replace('http', 'ws')}/v1/realtime${query}`;
  const socket = await openSocket(address, { headers }).catch(() => undefined);
  // By its ticket it cannot be asked for again to see why.
  if (socket === undefined) return (await refusal(address, headers)).body.code ?? '';
  sockets.push(socket);
  const topic = id === undefined ? 'tenant' : `job:${id}`;
  const reply = await socket.ask({ type: 'subscribe', topic, ...(from === undefined ? {} : { from }) });
  if (reply.type !== 'subscribed') return reply.code ?? '';
  await until('the beginning', () => socket.events.length >= (from === undefined ? 1 : 2));
  return socket.events.map(({ event }) => event);
};

async function newTicket(body: object = {}): Promise<{ id: string; ticket: string }> {
  return owner.json('POST', '/v1/stream-tickets', body);
}

describe.each([
  ['an event stream', byStream, bySocket],
  ['a WebSocket', bySocket, byStream],
])('%s', (_name, follow, other) => {
  test("shows nobody another tenant's job: it is the same as none, on both processes", async () => {
    for (const url of [product.url, second]) {
      expect(await follow(url, { key: owner.key, job })).toEqual(['snapshot']);
      expect(await follow(url, { key: stranger.key, job })).toBe('not_found');
      expect(await follow(url, { key: stranger.key, job: 'job_01k6z7q0v8e2m9x4t5c3b1a0n7' })).toBe(
        'not_found',
      );
      expect(await follow(url, { key: product.key, job })).toBe('not_found');
    }
  });

  test('opens by a ticket once, and then nothing does, by whatever transport, on whatever process', async () => {
    const { ticket } = await newTicket();
    expect(await follow(second, { ticket, job })).toEqual(['snapshot']);
    for (const url of [product.url, second]) {
      expect(await follow(url, { ticket, job })).toBe('invalid_ticket');
      expect(await other(url, { ticket, job })).toBe('invalid_ticket');
    }
  });

  test('opens by no ticket that has expired, was ended, or is of another topic', async () => {
    const [expired, ended] = [await newTicket(), await newTicket()];
    const past = `update stream_tickets set expires_at = now() - interval '1 ms' where id = $1`;
    await database.query(past, [tryDecodeId('ticket', expired.id)]);
    await owner.call('DELETE', `/v1/stream-tickets/${ended.id}`);
    for (const { ticket } of [expired, ended]) {
      expect(await follow(second, { ticket, job })).toBe('invalid_ticket');
    }
    const { ticket } = await newTicket({ topics: ['tenant'] });
    expect(await follow(second, { ticket, job })).toBe('not_found');
  });

  test.each([-1, 0, 1, 1.5, 1e21, Number.MAX_SAFE_INTEGER, '１２', '12; drop', '🙂', '𝟙', '-0', '+1', ' 1'])(
    'begins anew where it is to go on after %j, which is no cursor',
    async (from) => {
      expect(await follow(second, { key: owner.key, job, from })).toEqual(['reset', 'snapshot']);
      expect(await follow(second, { key: owner.key, from })).toEqual(['reset', 'ready']);
    },
  );
});

test('a WebSocket shows nobody another tenant', async () => {
  const headers = { authorization: `Bearer ${stranger.key}` };
  const socket = await openSocket(`${second.replace('http', 'ws')}/v1/realtime`, { headers });
  sockets.push(socket);
  for (const topic of [`tenant:${tenantId}`, `tenant:${product.tenantId}`]) {
    expect(await socket.ask({ type: 'subscribe', topic })).toMatchObject({
      type: 'error',
      code: 'not_found',
    });
  }
});

describe('a Last-Event-ID that no client would send', () => {
  /** As bytes, since clients refuse to send most of these. @returns the answer as far as its first message, or to its end */
  async function answerTo(lastEventId: Buffer): Promise<string> {
    const { hostname, port } = new URL(second);
    const socket = connect(Number(port), hostname);
    let text = '';
    let over = false;
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket
      .on('error', () => undefined)
      .on('close', () => {
        over = true;
      });
    await once(socket, 'connect');
    const head = `GET /v1/jobs/${job}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${owner.key}\r\n`;
    socket.write(
      Buffer.concat([Buffer.from(`${head}Last-Event-ID: `), lastEventId, Buffer.from('\r\n\r\n')]),
    );
    await until('an answer', () => over || text.includes('event: snapshot'));
    socket.destroy();
    return text;
  }

  test.each([
    ['negative', Buffer.from('-5')],
    ['huge', Buffer.from('9'.repeat(10_000))],
    ['text', Buffer.from('undefined')],
    ['unicode', Buffer.from('🙂１２')],
    ['no UTF-8', Buffer.from([0xff, 0xfe, 0x80])],
    ['several', Buffer.from('1\r\nLast-Event-ID: 2')],
  ])('(%s) gets a reset and a new snapshot', async (_what, value) => {
    const text = await answerTo(value);
    expect(text).toMatch(/^HTTP\/1.1 200 /);
    expect(text).toContain('event: reset\n');
    expect(text.indexOf('event: reset')).toBeLessThan(text.indexOf('event: snapshot'));
  });

  test.each([
    ['a NUL', Buffer.from('12\0')],
    ['a line break', Buffer.from('12\n\rX')],
    ['more than headers may have', Buffer.alloc(40_000, '1')],
  ])('(%s) is refused', async (_what, value) => {
    expect(await answerTo(value)).toMatch(/^HTTP\/1.1 4\d\d /);
  });
});
