import { type ConnectionOptions, Queue, Worker } from 'bullmq';
import type { Contender, Place, Preparation } from './contender';
import { type Item, createTally, itemsOf } from './items';
import { serve } from './serve';

const addedAtOnce = 1_000;
const concurrency = 100;
const readAtOnce = 1_000;

type EchoQueue = Queue<Item, Item>;

/**
 * BullMQ as its documentation sets it up: jobs by `addBulk`, one worker with concurrency, connections of their own,
 * `maxRetriesPerRequest: null` for the worker. Jobs are kept after completion, return values with them (the default).
 */
async function open({ facts }: Place): Promise<Contender> {
  const connection = connectionTo(facts.redis_url);
  const queue: EchoQueue = new Queue('bench', { connection });
  await queue.waitUntilReady();
  return { prepare: (itemCount) => prepare(queue, connection, itemCount) };
}

async function prepare(
  queue: EchoQueue,
  connection: ConnectionOptions,
  itemCount: number,
): Promise<Preparation> {
  const items = itemsOf(itemCount);
  const worker = new Worker<Item, Item>(queue.name, async (job) => job.data, {
    connection: { ...connection, maxRetriesPerRequest: null },
    concurrency,
  });
  await worker.waitUntilReady();
  const completed = allCompleted(worker, itemCount);
  return {
    work: async () => {
      const startedAt = performance.now();
      for (let from = 0; from < itemCount; from += addedAtOnce) {
        await queue.addBulk(items.slice(from, from + addedAtOnce).map((data) => ({ name: 'echo', data })));
      }
      const addMs = performance.now() - startedAt;
      await completed;
      return { add: addMs, run: performance.now() - startedAt - addMs };
    },
    check: () => checkReturnValues(queue, itemCount),
    clear: async () => {
      await worker.close();
      await queue.obliterate({ force: true });
    },
  };
}

async function allCompleted(worker: Worker<Item, Item>, itemCount: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let count = 0;
    worker.on('completed', () => {
      count += 1;
      if (count === itemCount) resolve();
    });
    worker.on('failed', (_job, error) => {
      reject(error);
    });
    worker.on('error', reject);
  });
}

async function checkReturnValues(queue: EchoQueue, itemCount: number): Promise<number> {
  const tally = createTally(itemCount);
  for (let from = 0; from < itemCount; from += readAtOnce) {
    const jobs = await queue.getCompleted(from, from + readAtOnce - 1);
    for (const job of jobs) tally.add(job.returnvalue);
  }
  return tally.total();
}

function connectionTo(redisUrl: string): { host: string; port: number; password: string } {
  const { hostname, port, password } = new URL(redisUrl);
  return { host: hostname, port: Number(port), password: decodeURIComponent(password) };
}

serve(open);
