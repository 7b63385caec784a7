/** What happens to those who follow when a part of the house goes away: two API processes, a worker, and a Redis of their own. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type Follower, followBySocket, followBySse, type FollowWish } from '../support/followers';
import { createApiClient } from '../support/api-client';
import { parseEventStream } from '../support/event-stream';
import { control, createJob, jobThat, numbered } from '../support/job-client';
import { openStream } from '../support/open-stream';
import { type OwnRedis, startOwnRedis } from '../support/own-servers';
import { HANDLERS_DIR, type Product, type Role, startProduct } from '../support/product';
import { openSocket } from '../support/socket-client';
import { until } from '../support/wait';

/** Promised are 5 s; two cores run all of this. */
const ENDS_WITHIN_MS = 5 * 5_000;

let redis: OwnRedis;
let product: Product;
/** two API processes beside the product's own: what one of them is asked for is seen by the other */
let apis: [Role & { url: string }, Role & { url: string }];
const followers: Follower[] = [];
const cleanUps: (() => void)[] = [];

beforeAll(async () => {
  redis = await startOwnRedis();
  product = await startProduct({ redisUrl: redis.url, env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR } });
  const [first, second] = await Promise.all([product.startApi(), product.startApi(), product.startWorker()]);
  apis = [first, second];
});
afterEach(() => {
  for (const follower of followers.splice(0)) follower.close();
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});
afterAll(async () => {
  await product.close();
  await redis.remove();
});

/** By both transports, on both processes. */
function followEverywhere(wish: Omit<FollowWish, 'url'>): Follower[] {
  const all = apis.flatMap(({ url }) => [followBySse({ ...wish, url }), followBySocket({ ...wish, url })]);
  followers.push(...all);
  return all;
}

const begun = (all: readonly Follower[]): Promise<boolean> =>
  until('the beginnings', () => all.every(({ told }) => told.length > 0));

interface MadeKey {
  id: string;
  secret: string;
}

const newKey = (): Promise<MadeKey> =>
  product.json('POST', '/v1/api-keys', { name: 'follower', scopes: ['jobs:read', 'events:read'] });

/** 1.6 MB, in parts that are small enough to be pushed. @returns the ids */
async function publishSome(): Promise<string[]> {
  const event = { type: 'test.happened', data: { filler: 'x'.repeat(16_000) } };
  const { data } = await product.json<{ data: { id: string }[] }>('POST', '/v1/events', {
    events: Array.from({ length: 100 }, () => event),
  });
  return data.map(({ id }) => id);
}

const eventIds = (told: readonly { event: string; data: { id?: string } }[]): (string | undefined)[] =>
  told.filter(({ event }) => event === 'event').map(({ data }) => data.id);

describe('a reader that stops reading', () => {
  const stream = '/v1/events/stream';

  /** Asks for a stream and never reads a byte of it, until it is told to. */
  async function stuckStream(url: string): Promise<Socket> {
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.on('error', () => undefined).pause();
    socket.write(`GET ${stream} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer ${product.key}\r\n\r\n`);
    return socket;
  }
  const cutOff = async (url: string, transport: string): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const line = text
      .split('\n')
      .find((each) => each.startsWith(`millrace_streams_cut_total{transport="${transport}"`));
    return Number(line?.split(' ').at(-1) ?? 0);
  };
  const isOpen = async (url: string, count: number): Promise<boolean> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    const lines = text.split('\n').filter((each) => each.startsWith('millrace_streams_open{'));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0) === count;
  };

  test('is cut off; others are told all before more is sent, and it misses nothing by coming back', async () => {
    const [{ url }] = apis;
    const good = [followBySse, followBySocket].map((follow) =>
      follow({ url, key: product.key, topic: 'tenant' }),
    );
    followers.push(...good);
    await begun(good);
    const slow = await stuckStream(url);
    cleanUps.push(() => slow.destroy());
    const slowSocket = await openSocket(`${url.replace('http', 'ws')}/v1/realtime`, {
      headers: { authorization: `Bearer ${product.key}` },
    });
    cleanUps.push(() => slowSocket.ws.terminate());
    await slowSocket.ask({ type: 'subscribe', topic: 'tenant' });
    await until('its beginning', () => slowSocket.events.length === 1);
    slowSocket.ws.pause();
    await until('all streams', () => isOpen(url, 4));
    const published: string[] = [];
    const cut = async (): Promise<boolean> =>
      (await cutOff(url, 'sse')) > 0 && (await cutOff(url, 'websocket')) > 0;
    while (!(await cut())) {
      // What the kernel takes for them comes on top: where it may, tens of megabytes.
      if (published.length > 5_000) throw new Error('the stuck readers were not cut off');
      published.push(...(await publishSome()));
      // Those who read never wait for those who don't, of whom nobody has read anything yet.
      await until('the others', () => good.every(({ told }) => eventIds(told).at(-1) === published.at(-1)));
    }
    expect(published.length).toBeGreaterThan(100);
    for (const { told } of good) expect(eventIds(told)).toEqual(published);

    let text = '';
    slow.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    slow.resume();
    await until('the end of the stream', () => slow.closed);
    slowSocket.ws.resume();
    await slowSocket.end();
    const heard = [parseEventStream(text.slice(text.indexOf('\r\n\r\n') + 4)), slowSocket.events] as const;
    const missing = [heard[0].at(-1)?.id, heard[1].at(-1)?.cursor].map(async (cursor) => {
      const again = await openStream(apis[1], `${stream}?last_event_id=${cursor}`, { key: product.key });
      await until(
        'the rest',
        () => again.text.includes(`"id":"${published.at(-1)}"`) && again.text.endsWith('\n\n'),
      );
      again.close();
      return parseEventStream(again.text);
    });
    const [byStream, bySocket] = await Promise.all(missing);
    expect(eventIds([...heard[0], ...(byStream ?? [])])).toEqual(published);
    expect(eventIds([...heard[1], ...(bySocket ?? [])] as never)).toEqual(published);
  });
});

test('a process that is ended tells its followers when to come back, and they miss nothing on the other', async () => {
  const leaving = await product.startApi();
  const { id } = await createJob(product, { handler: 'tick', items: numbered(1_000, { ms: 500 }) });
  const key = { key: product.key };
  const stream = await openStream(leaving, `/v1/jobs/${id}/events`, key);
  const socket = await openSocket(`${leaving.url.replace('http', 'ws')}/v1/realtime`, {
    headers: { authorization: `Bearer ${product.key}` },
  });
  cleanUps.push(stream.close, () => socket.ws.terminate());
  await socket.ask({ type: 'subscribe', topic: `job:${id}` });
  const heard = () => parseEventStream(stream.text);
  await until('the beginnings', () => heard().length > 0 && socket.events.length > 0);
  const staying = followBySse({ ...key, url: apis[1].url, topic: `job:${id}` });
  followers.push(staying);
  await until('progress', () => [heard(), socket.events, staying.told].every(({ length }) => length > 2));
  const exit = leaving.stop();
  await until('the end of the stream', () => stream.hasEnded);
  expect(await socket.end()).toMatchObject({ code: 1012 });
  // Its last words; what they are told at first is `retry: 2000`.
  expect(stream.text.trimEnd()).toMatch(/\nretry: \d+$/);
  expect(socket.told.at(-1)).toMatchObject({ type: 'goodbye', reconnect_after_ms: expect.any(Number) });
  await product.json('PATCH', `/v1/jobs/${id}`, { name: 'meanwhile' });
  const back = [heard().at(-1)?.id, socket.events.at(-1)?.cursor].map((cursor) =>
    openStream(apis[0], `/v1/jobs/${id}/events?last_event_id=${cursor}`, key),
  );
  await control(product, id, 'cancel');
  const [afterStream, afterSocket] = await Promise.all(back);
  await until(
    'the ends',
    () => afterStream?.hasEnded && afterSocket?.hasEnded && staying.told.at(-1)?.event === 'done',
  );
  const cursorsOf = (text = ''): number[] => parseEventStream(text).map((message) => Number(message.id));
  // Who stayed was told of all that came after its own beginning.
  const all = staying.told.slice(1).map(({ cursor }) => cursor ?? 0);
  const since = (cursors: readonly (number | undefined)[]) =>
    cursors.filter((cursor = 0) => cursor >= (all[0] ?? 0));
  expect(since([...cursorsOf(stream.text), ...cursorsOf(afterStream?.text)])).toEqual(all);
  expect(since([...socket.events.map(({ cursor }) => cursor), ...cursorsOf(afterSocket?.text)])).toEqual(all);
  expect(afterStream?.text).toContain('"type":"job.updated"');
  expect(await exit).toBe(0);
});

test('a Redis that comes back without its data: reset, the state as it is by then, and on from there', async () => {
  const { id } = await createJob(product, { handler: 'tick', items: numbered(1_000, { ms: 500 }) });
  const ofJob = followEverywhere({ key: product.key, topic: `job:${id}` });
  const ofTenant = followEverywhere({ key: product.key, topic: 'tenant' });
  await until('progress', () => ofJob.every(({ told }) => told.some(({ event }) => event === 'progress')));
  await begun(ofTenant);
  const before = [...ofJob, ...ofTenant].map(lastCursor);
  await redis.end();
  redis.forget();
  await product.json('PATCH', `/v1/jobs/${id}`, { name: 'while Redis was away' });
  await control(product, id, 'pause');
  await jobThat(product, id, { what: 'the pause', fits: ({ status }) => status === 'paused' });
  await redis.start();

  const anew = (follower: Follower, beginning: string) => {
    const { told } = follower;
    const at = told.findIndex(({ event }) => event === 'reset');
    // While Redis is on its way back the state comes without a cursor.
    const found = told.slice(at).find(({ event, cursor }) => event === beginning && cursor !== undefined);
    return at >= 0 && found;
  };
  const snapshots = await until('new snapshots', () => allOf(ofJob.map((each) => anew(each, 'snapshot'))));
  const beginnings = await until('new beginnings', () => allOf(ofTenant.map((each) => anew(each, 'ready'))));
  for (const { data } of snapshots)
    expect(data).toMatchObject({ status: 'paused', name: 'while Redis was away' });
  for (const [n, { cursor }] of [...snapshots, ...beginnings].entries()) {
    expect(cursor).toBeGreaterThan(before[n] ?? Infinity);
  }
  await control(product, id, 'resume');
  await control(product, id, 'cancel');
  await until('the ends', () => ofJob.every(({ told }) => told.at(-1)?.event === 'done'));
  await until('the end for the tenant', () =>
    ofTenant.every(({ told }) =>
      told.some(({ data }) => data.type === 'job.cancelled' && data.data.job_id === id),
    ),
  );
  for (const [n, { told }] of [...ofJob, ...ofTenant].entries()) {
    const cursors = told.flatMap(({ cursor }) => cursor ?? []);
    expect(cursors).toEqual([...new Set(cursors)].sort((a, b) => a - b));
    expect(cursors.length).toBeGreaterThan(n < ofJob.length ? 3 : 1);
  }
});

function lastCursor({ told }: Follower): number | undefined {
  return told.findLast(({ cursor }) => cursor !== undefined)?.cursor;
}

/** undefined where one is missing */
function allOf<T>(list: readonly (T | undefined | false)[]): T[] | undefined {
  const found = list.filter((one): one is T => one !== undefined && one !== false);
  return found.length === list.length ? found : undefined;
}

describe.each([
  ['while Redis is there', false],
  ['while Redis is away', true],
])('a key that is revoked, %s,', (_when, away) => {
  test('ends its streams on every process, and no other', async () => {
    const [revoked, other] = [await newKey(), await newKey()];
    const ending = followEverywhere({ key: revoked.secret, topic: 'tenant' });
    const staying = followEverywhere({ key: other.secret, topic: 'tenant' });
    await begun([...ending, ...staying]);
    if (away) await redis.end();
    try {
      await expectEnds(revoked, { ending, staying });
    } finally {
      if (away) await redis.start();
    }
  });
});

async function expectEnds(
  revoked: MadeKey,
  { ending, staying }: Record<'ending' | 'staying', readonly Follower[]>,
): Promise<void> {
  const { status } = await product.call('DELETE', `/v1/api-keys/${revoked.id}`);
  expect(status).toBe(204);
  await until('the ends', () => ending.every(({ ends }) => ends.length > 0), ENDS_WITHIN_MS);
  // They come back, and are told that it is for good.
  const [sse, socket] = [ending.filter((_, n) => n % 2 === 0), ending.filter((_, n) => n % 2 === 1)];
  await until('the refusals', () => sse.every(({ ends }) => ends.at(-1) === 401));
  for (const { ends } of socket) expect(ends[0]).toBe(4001);
  for (const { ends } of staying) expect(ends).toEqual([]);
  const reply = await createApiClient({ url: apis[1].url, key: revoked.secret }).call('GET', '/v1/me');
  expect(reply.status).toBe(401);
}
