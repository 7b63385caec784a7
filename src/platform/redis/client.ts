/** Connections to Redis that fail fast: a request must not wait for a Redis that is away or frozen. */
import { Redis } from 'ioredis';

export interface RedisOptions {
  url: string;
  /** shown by CLIENT LIST */
  name: string;
  /** how long a command may take; the only thing that helps when Redis is frozen. Default 1,000 */
  commandTimeoutMs?: number;
  /** once per outage */
  onDown(error: Error): void;
  /** after an outage */
  onUp(): void;
}

/** For commands. While Redis is away each one rejects at once; the connection comes back by itself. */
export function createRedis(options: RedisOptions): Redis {
  return connect(options, options.commandTimeoutMs ?? 1_000);
}

/** For one blocking read at a time; its reader sets the deadline. */
export function createBlockingRedis(options: Omit<RedisOptions, 'commandTimeoutMs'>): Redis {
  return connect(options, undefined);
}

function connect(options: RedisOptions, commandTimeout: number | undefined): Redis {
  const redis = new Redis(options.url, {
    connectionName: options.name,
    connectTimeout: 1_000,
    enableOfflineQueue: false,
    // A command cut off by a lost connection rejects; whether it took effect is for the caller to sort out.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    keepAlive: 10_000,
    ...(commandTimeout === undefined ? {} : { commandTimeout }),
  });
  let down = false;
  redis.on('error', (error: Error) => {
    if (!down) options.onDown(error);
    down = true;
  });
  redis.on('ready', () => {
    if (down) options.onUp();
    down = false;
  });
  return redis;
}

/** Resolves when the connection can be used, or after `timeoutMs`: then false, and it goes on trying. */
export function whenReady(redis: Redis, timeoutMs: number): Promise<boolean> {
  if (redis.status === 'ready') return Promise.resolve(true);
  return new Promise((resolve) => {
    const settle = (ready: boolean) => () => {
      clearTimeout(timer);
      redis.off('ready', onReady);
      resolve(ready);
    };
    const onReady = settle(true);
    const timer = setTimeout(settle(false), timeoutMs);
    redis.on('ready', onReady);
  });
}
