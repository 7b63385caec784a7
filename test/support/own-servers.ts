/** Servers of one test file's own, which it may kill, flush and start again; the shared ones serve all files. */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Child } from '../../tools/process/child';
import { findFreePort } from '../../tools/servers/ports';
import { createPostgres, ensureDatabase, postgresUrl } from '../../tools/servers/postgres';
import { removeDataFolder } from '../../tools/servers/postgres-cluster';
import { createRedis, redisUrl } from '../../tools/servers/redis';
import { findRedis } from '../../tools/servers/redis-binary';
import { type Server, startServer } from '../../tools/servers/server';
import { createTemporal } from '../../tools/servers/temporal';
import { leash } from './leash';
import { testServers } from './servers';

export interface OwnServer {
  /** Ends it, by kill -9 where nothing else is said, and resolves when it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>;
  /** after `end`; at the same address, with the same data. Resolves when it answers. */
  start(): Promise<void>;
  /** Ends it for good, and removes its data. */
  remove(): Promise<void>;
}

/** @returns a running PostgreSQL with an empty database */
export async function startOwnPostgres(): Promise<OwnServer & { url: string }> {
  const folder = makeFolder();
  const options = {
    root: path.resolve(__dirname, '../..'),
    dataFolder: folder,
    port: await findFreePort(),
    password: randomBytes(12).toString('hex'),
    logFile: path.join(folder, 'logs/postgres.log'),
  };
  const own = await startOwn(await createPostgres(options), folder);
  await ensureDatabase(postgresUrl(options, 'postgres'), 'millrace');
  return { ...own, url: postgresUrl(options, 'millrace') };
}

export interface OwnRedis extends OwnServer {
  url: string;
  /** Between `end` and `start`: all its data is lost. */
  forget(): void;
}

export async function startOwnRedis(): Promise<OwnRedis> {
  const folder = makeFolder();
  const options = {
    binary: await findRedis({ env: process.env, isRoot: false, onProgress: () => undefined }),
    dataFolder: folder,
    port: await findFreePort(),
    password: randomBytes(12).toString('hex'),
    logFile: path.join(folder, 'logs/redis.log'),
  };
  const own = await startOwn(createRedis(options), folder);
  const forget = (): void => rmSync(path.join(folder, 'redis/appendonlydir'), { recursive: true });
  return { ...own, url: redisUrl(options), forget };
}

export interface OwnTemporal extends OwnServer {
  /** host:port */
  address: string;
  /** Between `end` and `start`: all its data is lost. */
  forget(): void;
}

/** @param fairness between tenants; as `npm start` has it where nothing is said */
export async function startOwnTemporal({ fairness = true } = {}): Promise<OwnTemporal> {
  const folder = makeFolder();
  const port = await findFreePort();
  const server = createTemporal({
    binary: testServers().temporalBinary,
    dataFolder: folder,
    port,
    uiPort: await findFreePort(new Set([port])),
    logFile: path.join(folder, 'logs/temporal.log'),
    fairness,
  });
  const own = await startOwn(server, folder);
  const forget = (): void => {
    for (const name of readdirSync(folder))
      if (name.startsWith('temporal.db')) rmSync(path.join(folder, name));
  };
  return { ...own, address: `127.0.0.1:${port}`, forget };
}

function makeFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-own-'));
  // As root, PostgreSQL runs as another user, who has to get in.
  chmodSync(folder, 0o711);
  return folder;
}

async function startOwn(server: Server, folder: string): Promise<OwnServer> {
  let child: Child | undefined;
  const leashed: Server = {
    ...server,
    launch: (record) => {
      const launched = server.launch(record);
      leash(launched.process, { group: true });
      return launched;
    },
  };
  const end = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child?.process.kill(signal);
    await child?.exited;
  };
  const start = async (): Promise<void> => {
    child = await startServer(leashed, () => undefined);
  };
  await start();
  return {
    end,
    start,
    remove: async () => {
      await end();
      removeDataFolder(folder);
    },
  };
}
