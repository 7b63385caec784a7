import { setTimeout as delay } from 'node:timers/promises';
import { Logger, type Runner, type WorkerUtils, makeWorkerUtils, run } from 'graphile-worker';
import { Pool } from 'pg';
import { ensureDatabase } from '../../tools/servers/postgres';
import type { Contender, Place, Preparation } from './contender';
import { createTally, itemsOf } from './items';
import { serve } from './serve';

const database = 'graphile_worker';
const addedAtOnce = 1_000;
const lookEveryMs = 5;

/** The fastest set-up of https://worker.graphile.org/docs/performance, in one process. */
const preset = {
  worker: {
    concurrentJobs: 24,
    maxPoolSize: 25,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

/** Graphile Worker deletes a job when it is done and keeps no return value; this is less than the others do. */
async function open({ facts }: Place): Promise<Contender> {
  const url = new URL(facts.database_url);
  await ensureDatabase(url.href, database);
  url.pathname = `/${database}`;
  const pool = new Pool({ connectionString: url.href, max: preset.worker.maxPoolSize });
  pool.on('error', ignoreEnd);
  pool.on('connect', (client) => client.on('error', ignoreEnd));
  const logger = new Logger(() => () => undefined);
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  await utils.migrate();
  return { prepare: (itemCount) => prepare({ pool, logger, utils }, itemCount) };
}

interface Parts {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly utils: WorkerUtils;
}

async function prepare(parts: Parts, itemCount: number): Promise<Preparation> {
  const items = itemsOf(itemCount);
  const received: unknown[] = [];
  const runner = await startRunner(parts, received);
  return {
    work: async () => {
      const startedAt = performance.now();
      for (let from = 0; from < itemCount; from += addedAtOnce) {
        const jobs = items.slice(from, from + addedAtOnce);
        await parts.utils.addJobs(jobs.map((payload) => ({ identifier: 'echo', payload })));
      }
      const addMs = performance.now() - startedAt;
      while (received.length < itemCount) await delay(lookEveryMs);
      // The last batch is done when its rows are gone.
      while (await hasJobs(parts.pool)) await delay(lookEveryMs);
      return { add: addMs, run: performance.now() - startedAt - addMs };
    },
    check: async () => {
      const tally = createTally(itemCount);
      for (const item of received) tally.add(item);
      return tally.total();
    },
    clear: () => runner.stop(),
  };
}

async function startRunner({ pool, logger }: Parts, received: unknown[]): Promise<Runner> {
  return run({
    preset,
    pgPool: pool,
    logger,
    noHandleSignals: true,
    taskList: {
      echo: async (payload) => {
        received.push(payload);
      },
    },
  });
}

async function hasJobs(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query<{ some: boolean }>(
    'select exists (select from graphile_worker._private_jobs) as some',
  );
  return rows[0]?.some ?? false;
}

/** A connection that ends with its server; whoever waits for a query on it hears of that. */
function ignoreEnd(): void {}

serve(open);
