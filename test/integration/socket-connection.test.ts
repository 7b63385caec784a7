import type { Admission } from '../../src/api/realtime/admission';
import { AppError } from '../../src/domain/errors';
import { openSocket, refusal, type SocketClient } from '../support/socket-client';
import { until } from '../support/wait';
import {
  cursors,
  headers,
  type Scene,
  socketAddress,
  type SocketWorld,
  startScene,
  startSocketWorld,
  watching,
} from './socket-support';

let world: SocketWorld;
let scene: Scene;
let topic: string;

beforeAll(async () => {
  world = await startSocketWorld();
});

beforeEach(async () => {
  scene = await startScene(world);
  ({ topic } = scene);
});

afterEach(() => scene.close());
afterAll(() => world.close());

describe('what is no command', () => {
  test.each([
    [{ type: 'subscribe', topic: 'jobs' }, '/topic'],
    [{ type: 'subscribe', topic: 'tenant', items: true }, '/items'],
    [{ type: 'subscribe', topic: 'job:job_01k6z7q0v8e2m9x4t5c3b1a0n7', types: ['*'] }, '/types'],
    [{ type: 'subscribe', topic: 'tenant', form: 1 }, '/form'],
    [{ type: 'publish' }, '/type'],
  ])('%j is told with its place, and closes nothing', async (command, pointer) => {
    const { port } = await scene.api();
    const client = await scene.open(port);
    const answer = await client.ask(command);
    expect(answer).toMatchObject({
      type: 'error',
      code: 'validation_failed',
      title: 'The request is invalid',
    });
    expect(answer.errors).toEqual([expect.objectContaining({ pointer })]);
    expect((await client.ask({ type: 'ping' })).type).toBe('pong');
  });

  test('a hundred of them close the connection, unless right ones are among them', async () => {
    const { port } = await scene.api();
    const client = await scene.open(port);
    for (let n = 0; n < 99; n++) client.ws.send('nonsense');
    await client.ask({ type: 'ping' });
    client.ws.send('nonsense');
    expect((await client.ask({ type: 'ping' })).type).toBe('pong');
    for (let n = 0; n < 3; n++) client.ws.send('nonsense');
    expect((await client.end()).code).toBe(1008);
  });

  test.each([
    ['a binary message', Buffer.from('{}'), true, 1003],
    ['one that is too large', Buffer.alloc(16 * 1024 + 1, 'x'), false, 1009],
    ['one that is no UTF-8', Buffer.from([0xff, 0xfe]), false, 1007],
  ])('%s closes it', async (_what, data, binary, code) => {
    const { port, sockets } = await scene.api();
    const client = await scene.open(port);
    client.ws.send(data, { binary });
    expect((await client.end()).code).toBe(code);
    await until('nothing left', () => sockets.connections === 0);
  });
});

describe('a connection', () => {
  test('is pinged; one that does not answer is ended, one that does is not', async () => {
    const { port, sockets } = await scene.api({ sockets: { pingMs: 200, pongMs: 100 } });
    const [alive, dead] = [await scene.open(port), await scene.open(port, { autoPong: false })];
    let pings = 0;
    alive.ws.on('ping', () => pings++);
    expect((await dead.end()).code).toBe(1006);
    await until('more pings', () => pings >= 5);
    expect(alive.closed).toBeUndefined();
    expect(sockets.connections).toBe(1);
  });

  test('that reads too slowly is closed at the limit, and harms no other', async () => {
    const { port, sockets, metrics } = await scene.api({
      sockets: { pendingBytesMax: 200_000, closeTimeoutMs: 100 },
    });
    const [quick, slow] = [await scene.open(port), await scene.open(port)];
    for (const client of [quick, slow]) await client.ask({ type: 'subscribe', topic });
    await until('both there', () => quick.events.length === 1 && slow.events.length === 1);
    slow.ws.pause();
    const text = 'x'.repeat(100_000);
    let sent = 0;
    await until('the cut', async () => {
      await scene.publish(sent, sent + 1, { text });
      sent++;
      return metrics.counts.cutOff === 1;
    });
    await until('it gone', () => sockets.connections === 1);
    await until('the rest', () => quick.events.length === sent + 1);
    expect(quick.closed).toBeUndefined();
    slow.ws.resume();
    expect([1006, 4008]).toContain((await slow.end()).code);
    expect(sent).toBeGreaterThan(2);
  });

  test('that reads slowly, but reads, is closed with a code that says why, and misses nothing by coming back', async () => {
    const { port } = await scene.api({ sockets: { closeTimeoutMs: 20_000 } });
    let client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic });
    await until('the snapshot', () => client.events.length === 1);
    const got = cursors(client);
    client.ws.pause();
    // As much as the systems on both sides hold, and then some.
    await scene.publish(0, 100, { text: 'x'.repeat(200_000) });
    client.ws.resume();
    expect((await client.end()).code).toBe(4008);
    got.push(...cursors(client).slice(1));
    expect(got.length).toBeLessThan(101);
    client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic, from: got.at(-1) });
    await until('the rest', () => got.length + client.events.length === 101);
    expect([...got, ...cursors(client)].slice(1)).toEqual(await scene.loggedAfter(got[0] ?? 0));
  });

  test('is told when to come back, where the process ends; so is one that comes later', async () => {
    const process = await scene.api();
    const client = await scene.open(process.port);
    await client.ask({ type: 'subscribe', topic });
    process.sockets.drain();
    expect((await client.end()).code).toBe(1012);
    expect(client.told.at(-1)).toEqual({ type: 'goodbye', reconnect_after_ms: expect.any(Number) });
    const late = await openSocket(socketAddress(process.port), { headers });
    expect((await late.end()).code).toBe(1012);
    expect(late.told).toEqual([{ type: 'goodbye', reconnect_after_ms: expect.any(Number) }]);
    await process.drain();
  });

  test('leaves nothing behind when its client goes, at whatever moment', async () => {
    const left: string[] = [];
    const admission: Admission = {
      admit: async () => ({ needs: () => undefined, leave: () => left.push('left') }),
    };
    const watch = watching();
    const { port, sockets, metrics } = await scene.api({ admission, items: watch.items });
    for (let n = 0; n < 20; n++) {
      const client = await scene.open(port);
      client.send({ type: 'subscribe', topic, items: true });
      client.send({ type: 'subscribe', topic: 'tenant' });
      if (n % 2 === 0) await until('something', () => client.events.length > 0);
      if (n % 3 === 0) client.ws.close();
      else client.ws.terminate();
    }
    await until('nobody', () => sockets.connections === 0 && left.length === 20);
    await until('no topics', () => watch.open === 0);
    expect(watch.begun).toBeGreaterThan(0);
    expect(metrics.counts).toMatchObject({ opened: 20, closed: 20, cutOff: 0 });
  });

  test('whose client cannot be reached for its answer to a close is ended all the same', async () => {
    const { port, sockets } = await scene.api({ sockets: { closeTimeoutMs: 50 } });
    const client = await scene.open(port);
    client.ws.pause();
    sockets.drain();
    await until('nobody', () => sockets.connections === 0);
  });
});

describe('letting in', () => {
  test('a key that ends closes it with 4001, and what is followed has to stay with the key', async () => {
    const needed: string[] = [];
    let end = (): void => undefined;
    let left = 0;
    const admission: Admission = {
      admit: async (_entrant, onEnd) => {
        end = () => onEnd('credential_ended');
        return { needs: (scopes) => void needed.push(...scopes), leave: () => void left++ };
      },
    };
    const { port } = await scene.api({ admission });
    const client = await scene.open(port);
    await client.ask({ type: 'subscribe', topic });
    expect(needed).toEqual(['jobs:read']);
    await client.ask({ type: 'subscribe', topic: 'tenant' });
    expect(needed).toEqual(['jobs:read', 'events:read']);
    end();
    expect((await client.end()).code).toBe(4001);
    await until('the seat free', () => left === 1);
  });

  test('where there is no seat, the handshake is refused with a problem', async () => {
    const refused = new AppError('too_many_connections', 'Two at once.', { retryAfterSeconds: 7 });
    const { port } = await scene.api({ admission: { admit: () => Promise.reject(refused) } });
    const answer = await refusal(socketAddress(port), headers);
    expect(answer).toMatchObject({ status: 429, body: { code: 'too_many_connections' } });
    expect(answer.headers['retry-after']).toBe('7');
  });

  test.each([
    ['no key', {}, '', 401, 'unauthenticated'],
    ['an unknown query', headers, '?x=1', 422, 'validation_failed'],
    ['another version', { ...headers, 'Sec-WebSocket-Version': '8' }, '', 426, 'upgrade_required'],
    [
      'a key of the handshake that is none',
      { ...headers, 'Sec-WebSocket-Key': 'x' },
      '',
      400,
      'malformed_request',
    ],
    [
      'protocols that are none',
      { ...headers, 'Sec-WebSocket-Protocol': 'a,,' },
      '',
      400,
      'malformed_request',
    ],
  ])('with %s the handshake is refused with a problem', async (_what, sent, query, status, code) => {
    let seats = 0;
    const admission: Admission = {
      admit: async () => {
        seats++;
        return { needs: () => undefined, leave: () => void seats-- };
      },
    };
    const { port, sockets } = await scene.api({ admission });
    const answer = await refusal(`${socketAddress(port)}${query}`, sent);
    expect(answer).toMatchObject({ status, body: { code } });
    expect(answer.headers['content-type']).toBe('application/problem+json');
    if (status === 426)
      expect(answer.headers).toMatchObject({ upgrade: 'websocket', 'sec-websocket-version': '13' });
    expect([seats, sockets.connections]).toEqual([0, 0]);
  });

  test('an ordinary request is told to ask for a WebSocket, on a connection that stays', async () => {
    const { port } = await scene.api();
    const reply = await fetch(`http://127.0.0.1:${port}/v1/realtime`, { headers });
    expect(reply.status).toBe(426);
    expect(reply.headers.get('upgrade')).toBe('websocket');
    expect(await reply.json()).toMatchObject({ code: 'upgrade_required' });
    expect((await fetch(`http://127.0.0.1:${port}/v1/realtime`, { headers, method: 'HEAD' })).status).toBe(
      405,
    );
  });

  test('the answer to the handshake carries what all answers do', async () => {
    const { port } = await scene.api();
    const client = await scene.open(port, { headers: { ...headers, 'X-Request-Id': 'mine' } });
    expect(client.headers).toMatchObject({ 'x-request-id': 'mine', 'x-content-type-options': 'nosniff' });
    expect(client.told[0]).toMatchObject({ connection_id: 'mine' });
    const named = await openSocketAs(port, ['graphql-ws', 'millrace.v1']);
    expect(named.ws.protocol).toBe('millrace.v1');
  });

  async function openSocketAs(port: number, protocols: string[]): Promise<SocketClient> {
    const client = await openSocket(socketAddress(port), { headers, protocols } as never);
    scene.cleanUp(() => client.ws.terminate());
    return client;
  }
});

describe('compression', () => {
  test('is not granted, unless it is switched on; then what is told is the same', async () => {
    const [off, on] = [await scene.api(), await scene.api({ sockets: { deflate: true } })];
    const plain = await scene.open(off.port, { perMessageDeflate: true });
    expect(plain.ws.extensions).toBe('');
    const [deflated, unwilling] = [
      await scene.open(on.port),
      await scene.open(on.port, { perMessageDeflate: false }),
    ];
    expect(deflated.ws.extensions).toBe('permessage-deflate');
    for (const client of [plain, deflated, unwilling]) await client.ask({ type: 'subscribe', topic });
    await until('all there', () => [plain, deflated, unwilling].every(({ events }) => events.length === 1));
    await scene.publish(0, 20, { text: 'ü'.repeat(5_000) });
    await until('all', () => [plain, deflated, unwilling].every(({ events }) => events.length === 21));
    expect(deflated.events).toEqual(plain.events);
    expect(unwilling.events).toEqual(plain.events);
    // More than may wait for a slow reader, at the pace of one that reads.
    const late = await scene.open(on.port);
    await late.ask({ type: 'subscribe', topic, from: plain.events[0]?.cursor });
    await until('all again', () => late.events.length === 20);
  });
});
