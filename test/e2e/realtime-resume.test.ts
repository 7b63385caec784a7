/** Whoever follows a job that runs is told all of it, once, in order, however often the connection breaks: two API processes. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Redis } from 'ioredis';
import type { Browser } from 'puppeteer-core';
import { launchBrowser } from '../support/browser';
import { control, createJob, numbered } from '../support/job-client';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { testServers } from '../support/servers';
import { openSocket, type SocketClient } from '../support/socket-client';
import { openStream, type OpenStream } from '../support/open-stream';
import { parseEventStream } from '../support/event-stream';
import { followJob } from '../support/subscriber';
import { type Logged, logOf } from '../support/topic-log';
import { until } from '../support/wait';
import { startWebSite, type WebSite } from '../support/web-site';
import { connectRedis } from '../integration/realtime-support';

const CUTS = 50;
const PREFIX = `test-resume-${process.pid}:`;

let product: Product;
/** of the two API processes */
let urls: readonly [string, string];
let site: WebSite;
let redis: Redis;
let browser: Browser | undefined;

beforeAll(async () => {
  product = await startProduct({
    env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR, MILLRACE_REDIS_PREFIX: PREFIX },
  });
  const [second] = await Promise.all([product.startApi(), product.startWorker()]);
  urls = [product.url, second.url];
  redis = connectRedis(testServers().redisUrl);
  const newTicket = async (): Promise<string> =>
    (await product.json<{ ticket: string }>('POST', '/v1/stream-tickets', {})).ticket;
  site = await startWebSite({ urls, newTicket });
});
afterAll(async () => {
  await browser?.close();
  await site.close();
  redis.disconnect();
  await product.close();
});

/** @returns the id of a job that runs for longer than any test, with progress all the time */
async function longJob(): Promise<string> {
  const items = numbered(1_000, { ms: 500 });
  const { id } = await createJob(product, { handler: 'tick', items, options: { max_concurrency: 3 } });
  return id;
}

/** Something happens to the job. */
const change = (id: string, n: number): Promise<unknown> =>
  product.json('PATCH', `/v1/jobs/${id}`, { metadata: { n: String(n) } });

const logAfter = (id: string, after: number): Promise<Logged[]> =>
  logOf(redis, { prefix: PREFIX, topic: `job:${id}`, after });

/** Each time at another point: before anything was told on the new connection, or in the middle of what is told. */
async function cutOften(id: string, told: () => number | Promise<number>): Promise<void> {
  for (let n = 0; n < CUTS; n++) {
    const [asked, before] = [site.streams, await told()];
    await change(id, n);
    if (n % 2 === 0) await until('something to be told', async () => (await told()) > before);
    await until('an open stream to cut', () => site.cut() > 0);
    await change(id, CUTS + n);
    await until('the client back', () => site.streams > asked);
  }
}

/** Of those, what the database has: another witness than the log. */
async function changesOf(id: string): Promise<string[]> {
  const events = await product.json<{ data: { id: string; type: string }[] }>(
    'GET',
    `/v1/events?subject=${id}&type=job.updated&limit=200`,
  );
  return events.data.map((event) => event.id).reverse();
}

test(`an EventSource that is cut off ${CUTS} times is told exactly the log, in order, nothing twice`, async () => {
  const id = await longJob();
  const subscriber = followJob(product, id, site.url);
  const { seen } = subscriber;
  await until('the snapshot', () => seen.length > 0);
  await cutOften(id, () => seen.length);
  await control(product, id, 'cancel');
  await until('the end', () => seen.at(-1)?.event === 'done');
  subscriber.close();
  const logged = await logAfter(id, Number(seen[0]?.id));
  expect(seen.map(({ event }) => event).filter((event) => event === 'snapshot' || event === 'reset')).toEqual(
    ['snapshot'],
  );
  expect(seen.slice(1).map((message) => Number(message.id))).toEqual(logged.map(({ cursor }) => cursor));
  expect(seen.slice(1, -1).map(({ data }) => data)).toEqual(logged.slice(0, -1).map(({ data }) => data));
  const updates = seen.filter(({ data }) => data.type === 'job.updated');
  expect(updates.map(({ data }) => (data as { event_id?: string }).event_id)).toEqual(await changesOf(id));
  expect(updates).toHaveLength(2 * CUTS);
  expect(logged.some(({ type }) => type === 'job.progress')).toBe(true);
});

test(`a browser that is cut off ${CUTS} times is told exactly the log, by a new ticket each time`, async () => {
  browser = await launchBrowser();
  const page = await browser.newPage();
  await page.goto(`${site.url}/`);
  const id = await longJob();
  const snippet = snippetOf('docs/realtime.md', 'async function follow');
  // Its waits are those of people; here they are a fiftieth.
  await page.evaluate(`
    const later = window.setTimeout;
    window.setTimeout = (work, ms) => later(work, ms / 50);
    const shown = [];
    const show = (name, data) => shown.push({ name, data });
    ${snippet}
    void follow(${JSON.stringify(id)});
  `);
  const count = async (): Promise<number> => (await page.evaluate('shown.length')) as number;
  await until('the snapshot', async () => (await count()) > 0);
  await cutOften(id, count);
  await control(product, id, 'cancel');
  await until('the end', () => page.evaluate(`shown.at(-1)?.name === 'done'`) as Promise<boolean>);
  const shown = (await page.evaluate('shown')) as { name: string; data: { status?: string } }[];
  const logged = await logAfter(id, 0);
  const told = shown.slice(1, -1).map(({ data }) => data);
  // The snapshot's cursor is not shown: what follows it is the end of the log.
  expect(told).toEqual(logged.slice(-told.length - 1, -1).map(({ data }) => data));
  expect(shown.map(({ name }) => name).filter((name) => name === 'snapshot' || name === 'reset')).toEqual([
    'snapshot',
  ]);
  const updates = shown.flatMap(({ data }) => {
    const { type, event_id } = data as { type?: string; event_id?: string };
    return type === 'job.updated' ? [event_id] : [];
  });
  expect(updates).toEqual(await changesOf(id));
  expect(shown.at(-1)).toMatchObject({ name: 'done', data: { status: 'cancelled' } });
});

/** The code block of a page that begins so. */
function snippetOf(file: string, beginning: string): string {
  const text = readFileSync(path.resolve(__dirname, '../..', file), 'utf8');
  const blocks = text.split('\n```').filter((_, n) => n % 2 === 1);
  const found = blocks.find((block) => block.slice(block.indexOf('\n') + 1).startsWith(beginning));
  if (found === undefined) throw new Error(`${file} has no code that begins with ${beginning}`);
  return found.slice(found.indexOf('\n') + 1);
}

describe('a cursor of one process is good on the other, and of one transport on the other', () => {
  const streams: OpenStream[] = [];
  const sockets: SocketClient[] = [];
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
    for (const socket of sockets.splice(0)) socket.ws.terminate();
  });

  interface Told {
    cursor: number;
    event: string;
    data: Record<string, unknown>;
  }
  const isAbout =
    (eventId: string | undefined) =>
    ({ data }: Told): boolean =>
      [data.event_id, data.id].includes(eventId);
  type Follow = (url: string, topic: string, after?: number) => Promise<() => Told[]>;

  const followByStream: Follow = async (url, topic, after) => {
    const at = topic === 'tenant' ? '/v1/events/stream' : `/v1/jobs/${topic.slice(4)}/events`;
    const query = after === undefined ? '' : `?last_event_id=${after}`;
    const stream = await openStream({ url }, `${at}${query}`, { key: product.key });
    streams.push(stream);
    return () =>
      parseEventStream(stream.text).map(({ id, event, data }) => ({
        cursor: Number(id),
        event,
        data: data as Told['data'],
      }));
  };
  const followBySocket: Follow = async (url, topic, from) => {
    const headers = { authorization: `Bearer ${product.key}` };
    const socket = await openSocket(`${url.replace('http', 'ws')}/v1/realtime`, { headers });
    sockets.push(socket);
    await socket.ask({ type: 'subscribe', topic, ...(from === undefined ? {} : { from }) });
    return () => socket.events.map(({ cursor = 0, event, data }) => ({ cursor, event, data }));
  };

  test.each([
    ['SSE', 'SSE', followByStream, followByStream],
    ['SSE', 'WebSocket', followByStream, followBySocket],
    ['WebSocket', 'SSE', followBySocket, followByStream],
    ['WebSocket', 'WebSocket', followBySocket, followBySocket],
  ])('%s, then %s', async (_first, _then, first, then) => {
    const { id } = await createJob(product, { handler: 'echo' });
    for (const topic of [`job:${id}`, 'tenant']) {
      const before = await first(urls[0], topic);
      await until('the beginning', () => before().length > 0);
      await change(id, 1);
      const told = await until('the change', () => before()[1]);
      for (let n = 2; n < 5; n++) await change(id, n);
      const after = await then(urls[1], topic, told.cursor);
      await change(id, 5);
      const last = (await changesOf(id)).at(-1);
      const upToLast = async (all: () => Told[]): Promise<Told[]> => {
        const at = await until('the last change', () => all().findIndex(isAbout(last)) + 1 || undefined);
        return all().slice(0, at);
      };
      expect(await upToLast(after)).toEqual((await upToLast(before)).slice(2));
      expect((await upToLast(after)).length).toBeGreaterThanOrEqual(4);
    }
  });
});
