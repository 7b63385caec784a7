import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Redis } from 'ioredis';
import { launch } from '../process/child';
import { becomesTrue, waitUntilReady } from '../process/wait';
import type { RedisBinary } from './redis-binary';
import type { Server } from './server';

export interface RedisOptions {
  readonly binary: RedisBinary;
  readonly dataFolder: string;
  readonly port: number;
  readonly password: string;
  readonly logFile: string;
}

const readyMs = 60_000;
const answerMs = 1_000;

/** A Redis of our own, on the loopback, that keeps its data by an append-only file. */
export function createRedis(options: RedisOptions): Server {
  const folder = path.join(options.dataFolder, 'redis');
  const configFile = path.join(folder, 'redis.conf');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return {
    name: 'Redis',
    stop: { signal: 'SIGTERM', graceMs: 15_000 },
    launch: (record) => {
      // In a file, because arguments of a process are readable for every user of the machine.
      writeFileSync(configFile, configuration(options), { mode: 0o600 });
      return launch(
        {
          name: 'Redis',
          command: options.binary.command,
          argv0: options.binary.argv0,
          args: [configFile],
          cwd: folder,
          logFile: options.logFile,
        },
        record,
      );
    },
    ready: async (child) => {
      await waitUntilReady(child, readyMs, () => answers(redisUrl(options)));
    },
  };
}

export function redisUrl({ port, password }: Pick<RedisOptions, 'port' | 'password'>): string {
  return `redis://:${encodeURIComponent(password)}@127.0.0.1:${port}`;
}

/** Whether a Redis answers at this address within `timeoutMs`. */
export async function redisAnswers(url: string, timeoutMs: number): Promise<boolean> {
  return becomesTrue(timeoutMs, () => answers(url));
}

// The working folder is the data folder's, so no path (which may hold spaces) has to be quoted here.
function configuration({ port, password }: RedisOptions): string {
  const lines = [
    'bind 127.0.0.1',
    'protected-mode yes',
    `port ${port}`,
    `requirepass ${password}`,
    'dir ./',
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'daemonize no',
  ];
  return `${lines.join('\n')}\n`;
}

async function answers(url: string): Promise<boolean> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: answerMs,
    commandTimeout: answerMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } finally {
    client.disconnect();
  }
}
