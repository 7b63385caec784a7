import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { Child } from '../process/child';
import { StartFailure } from '../process/failure';
import { stopChild } from '../process/stop';
import { runCommand } from '../servers/command';
import { findFreePort } from '../servers/ports';
import { createPostgres, ensureDatabase, postgresUrl, withClient } from '../servers/postgres';
import { createRedis, redisUrl } from '../servers/redis';
import { findRedis } from '../servers/redis-binary';
import { type Server, startServer } from '../servers/server';
import { createTemporal } from '../servers/temporal';
import { findTemporal } from '../servers/temporal-binary';
import type { TestServerFacts } from './facts';

export interface TestServersOptions {
  readonly root: string;
  /** An empty folder that is deleted afterwards. */
  readonly folder: string;
  readonly onProgress: (text: string) => void;
}

export interface Started {
  readonly server: Server;
  readonly child: Child;
}

const template = 'millrace_template';
const migrateMs = 120_000;
const ports = new Set<number>();

/** Starts PostgreSQL, Redis and Temporal for tests; `started` collects what has to be stopped, also after a failure. */
export async function startTestServers(
  options: TestServersOptions,
  started: Started[],
): Promise<TestServerFacts> {
  const run = async (server: Server): Promise<void> => {
    started.push({ server, child: await startServer(server, () => undefined) });
  };
  const [postgres, redis, temporal] = await allOrFirstFailure([
    startPostgres(options, run),
    startRedis(options, run),
    startTemporal(options, run),
  ] as const);
  const facts = { ...postgres, ...redis, ...temporal, MILLRACE_TEST_DATABASE_TEMPLATE: template };
  await migrateTemplate(options, facts);
  return facts;
}

/** Like Promise.all, but waits for the others before it fails: what they start must not be missed by the stop. */
async function allOrFirstFailure<T extends readonly unknown[]>(
  work: T,
): Promise<{
  -readonly [Index in keyof T]: Awaited<T[Index]>;
}> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

export async function stopTestServers(started: readonly Started[]): Promise<void> {
  // Nothing here is kept, so nobody waits for a shutdown in good order.
  const hurry = AbortSignal.abort();
  await Promise.all(started.map(({ server, child }) => stopChild(child, server.stop, hurry)));
}

type Run = (server: Server) => Promise<void>;

async function startPostgres(
  { root, folder }: TestServersOptions,
  run: Run,
): Promise<Pick<TestServerFacts, 'MILLRACE_TEST_DATABASE_URL'>> {
  const options = {
    root,
    dataFolder: folder,
    port: await takePort(),
    password: randomBytes(12).toString('hex'),
    logFile: path.join(folder, 'logs/postgres.log'),
    // What a crash of the machine would lose is of no worth here, and this is several times as fast.
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '400' },
  };
  await run(await createPostgres(options));
  await ensureDatabase(postgresUrl(options, 'postgres'), template);
  return { MILLRACE_TEST_DATABASE_URL: postgresUrl(options, 'postgres') };
}

async function startRedis(
  { folder, onProgress }: TestServersOptions,
  run: Run,
): Promise<Pick<TestServerFacts, 'MILLRACE_TEST_REDIS_URL'>> {
  const binary = await findRedis({ env: process.env, isRoot: process.getuid?.() === 0, onProgress });
  const options = {
    binary,
    dataFolder: folder,
    port: await takePort(),
    password: randomBytes(12).toString('hex'),
    logFile: path.join(folder, 'logs/redis.log'),
  };
  await run(createRedis(options));
  return { MILLRACE_TEST_REDIS_URL: redisUrl(options) };
}

async function startTemporal(
  { root, folder, onProgress }: TestServersOptions,
  run: Run,
): Promise<
  Pick<
    TestServerFacts,
    'MILLRACE_TEST_TEMPORAL_ADDRESS' | 'MILLRACE_TEST_TEMPORAL_UI_URL' | 'MILLRACE_TEST_TEMPORAL_BIN'
  >
> {
  const binary = await findTemporal({
    root,
    env: process.env,
    onProgress: (text) => {
      onProgress(`Temporal: ${text}`);
    },
  });
  const [port, uiPort] = [await takePort(), await takePort()];
  const logFile = path.join(folder, 'logs/temporal.log');
  await run(createTemporal({ binary, dataFolder: folder, port, uiPort, logFile }));
  return {
    MILLRACE_TEST_TEMPORAL_ADDRESS: `127.0.0.1:${port}`,
    MILLRACE_TEST_TEMPORAL_UI_URL: `http://127.0.0.1:${uiPort}`,
    MILLRACE_TEST_TEMPORAL_BIN: binary,
  };
}

async function takePort(): Promise<number> {
  const port = await findFreePort(ports);
  ports.add(port);
  return port;
}

/** Migrated once by the product's own command, then closed to connections, since those would block cloning. */
async function migrateTemplate({ root, folder }: TestServersOptions, facts: TestServerFacts): Promise<void> {
  const url = new URL(facts.MILLRACE_TEST_DATABASE_URL);
  url.pathname = `/${template}`;
  const { ok, output } = await runCommand(
    process.execPath,
    [path.join(root, 'dist/src/main.js'), 'migrate'],
    {
      timeoutMs: migrateMs,
      env: {
        ...process.env,
        DATABASE_URL: url.href,
        REDIS_URL: facts.MILLRACE_TEST_REDIS_URL,
        TEMPORAL_ADDRESS: facts.MILLRACE_TEST_TEMPORAL_ADDRESS,
        TEMPORAL_NAMESPACE: 'default',
        MILLRACE_SECRET_KEYS: randomBytes(32).toString('base64'),
        MILLRACE_DATA_DIR: folder,
      },
    },
  );
  if (!ok) throw new StartFailure(`The test database could not be migrated:\n${output}`);
  await withClient(facts.MILLRACE_TEST_DATABASE_URL, async (client) => {
    await client.query(`alter database ${template} with is_template true allow_connections false`);
  });
}
