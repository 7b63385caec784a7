/** Several processes with one Redis that may go away: how many streams each lets a tenant open. */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Crew } from '../../src/domain/limit/lease';
import { createRedis, whenReady } from '../../src/platform/redis/client';
import { createSeats, type Seats } from '../../src/platform/redis/seats';
import { type OwnServer, startOwnRedis } from '../support/own-servers';
import { until } from '../support/wait';

const BEAT_MS = 200;
const nothing = (): void => undefined;

interface Process {
  seats: Seats;
  redis: Redis;
  readonly isAway: boolean;
}

let server: OwnServer & { url: string };
const processes: Process[] = [];

beforeAll(async () => {
  server = await startOwnRedis();
});
afterEach(async () => {
  for (const { seats, redis } of processes.splice(0)) {
    await seats.close();
    redis.disconnect();
  }
});
afterAll(() => server.remove());

async function startProcess(crew: Crew = { processes: 2, rank: 0 }): Promise<Process> {
  const redis = createRedis({
    url: server.url,
    name: randomUUID(),
    commandTimeoutMs: 500,
    onDown: nothing,
    onUp: nothing,
  });
  let isAway = false;
  const seats = createSeats({
    redis,
    prefix: 'test:',
    instanceId: randomUUID(),
    crew: () => crew,
    ticks: () => performance.now(),
    onAway: () => (isAway = true),
    onBack: () => (isAway = false),
    beatMs: BEAT_MS,
  });
  const made = {
    seats,
    redis,
    get isAway() {
      return isAway;
    },
  };
  processes.push(made);
  await whenReady(redis, 5_000);
  return made;
}

async function take(
  { seats }: Process,
  tenant: string,
  limit: number | null,
  times: number,
): Promise<number> {
  const taken = await Promise.all(Array.from({ length: times }, () => seats.take(tenant, limit)));
  return taken.filter(Boolean).length;
}

const newTenant = (): string => `tnt_${randomUUID()}`;
const fieldsOf = ({ redis }: Process, tenant: string) => redis.hgetall(`test:seats:${tenant}`);

test('all processes together let in as many as the limit, however many ask at once', async () => {
  const [one, two] = [await startProcess(), await startProcess()];
  const tenant = newTenant();
  const given = await Promise.all([take(one, tenant, 10, 30), take(two, tenant, 10, 30)]);
  expect(given[0] + given[1]).toBe(10);
  expect(await take(one, tenant, 10, 5)).toBe(0);
  expect(await take(two, newTenant(), 10, 5)).toBe(5);
});

test('a seat that was given back is there for the other process, and none is left behind in the end', async () => {
  const [one, two] = [await startProcess(), await startProcess()];
  const tenant = newTenant();
  expect(await take(one, tenant, 3, 3)).toBe(3);
  expect(await take(two, tenant, 3, 1)).toBe(0);
  one.seats.giveBack(tenant);
  await until('the seat', () => two.seats.take(tenant, 3));
  expect(await take(two, tenant, 3, 1)).toBe(0);
  for (const each of [one, one, two]) each.seats.giveBack(tenant);
  await until('no seats', async () => Object.keys(await fieldsOf(one, tenant)).length === 0);
});

test('without a limit all get in, and are counted for when there is one', async () => {
  const [one, two] = [await startProcess(), await startProcess()];
  const tenant = newTenant();
  expect(await take(one, tenant, null, 50)).toBe(50);
  expect(await take(two, tenant, 50, 1)).toBe(0);
  expect(await take(two, tenant, 51, 5)).toBe(1);
});

test('a limit of nothing lets nobody in', async () => {
  expect(await take(await startProcess(), newTenant(), 0, 3)).toBe(0);
});

test('seats of a process that died without a word come free; those of one that lives stay', async () => {
  const [one, two] = [await startProcess(), await startProcess()];
  const tenant = newTenant();
  expect(await take(one, tenant, 4, 2)).toBe(2);
  expect(await take(two, tenant, 4, 2)).toBe(2);
  // No beat gets out any more.
  one.redis.disconnect();
  await until('a seat of the one that died', () => two.seats.take(tenant, 4));
  await until('the other', () => two.seats.take(tenant, 4));
  expect(await take(two, tenant, 4, 1)).toBe(0);
});

test('a process that goes away in order leaves nothing', async () => {
  const [one, two] = [await startProcess(), await startProcess()];
  const tenant = newTenant();
  expect(await take(one, tenant, 2, 2)).toBe(2);
  await one.seats.close();
  expect(await take(two, tenant, 2, 2)).toBe(2);
});

describe('while redis is away', () => {
  test('each process gives out its share of the limit, and what there is when redis is back counts', async () => {
    const one = await startProcess({ processes: 2, rank: 0 });
    const two = await startProcess({ processes: 2, rank: 1 });
    const tenant = newTenant();
    expect(await take(one, tenant, 11, 2)).toBe(2);
    await server.end();
    expect(await take(one, tenant, 11, 10)).toBe(4);
    expect(await take(two, tenant, 11, 10)).toBe(5);
    one.seats.giveBack(tenant);
    expect(await take(one, tenant, 11, 3)).toBe(1);
    // All its data is lost.
    await server.start();
    await until('all to be counted again', async () => {
      const counts = Object.values(await fieldsOf(one, tenant)).map((text) => Number(text.split(':')[0]));
      return counts.sort().join() === '5,6';
    });
    expect([one.isAway, two.isAway]).toEqual([false, false]);
    expect(await take(one, tenant, 11, 1)).toBe(0);
    expect(await take(two, tenant, 12, 3)).toBe(1);
  });

  test('frozen: nobody waits but those under way, and what was frozen is counted again', async () => {
    const one = await startProcess({ processes: 1, rank: 0 });
    const tenant = newTenant();
    const pid = Number(/process_id:(\d+)/.exec(await one.redis.info('server'))?.[1]);
    process.kill(pid, 'SIGSTOP');
    try {
      expect(await take(one, tenant, 3, 5)).toBe(3);
      expect(one.isAway).toBe(true);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await until('it to be counted in redis', async () => {
      const [text] = Object.values(await fieldsOf(one, tenant));
      return text?.startsWith('3:') && !one.isAway;
    });
  });
});
