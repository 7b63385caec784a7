/** Where the secrets of a run have left a trace: the log, every row, all of Redis, the histories of Temporal. */
import type { Connection } from '@temporalio/client';
import type { Redis } from 'ioredis';
import type { PostgresDatabase } from '../../../src/platform/postgres/pool';
import { createRedis, whenReady } from '../../../src/platform/redis/client';
import { tablesOf } from './rows';
import type { World } from './world';

export interface Kept {
  place: string;
  text: string;
}

/** Everything that the installation has kept, as text. */
export async function allThatIsKept({ api, database, connection, namespace }: World): Promise<Kept[]> {
  const { REDIS_URL: url = '', MILLRACE_REDIS_PREFIX: prefix = '' } = api.environment;
  return [
    {
      place: 'log',
      text: api
        .logged()
        .map((line) => JSON.stringify(line))
        .join('\n'),
    },
    ...(await keptInDatabase(database)),
    ...(await keptInRedis(url, prefix)),
    ...(await keptInTemporal(connection, namespace)),
  ];
}

/** Where a secret stands, in clear or as bytes. */
export function tracesOf(secrets: Iterable<string>, kept: readonly Kept[]): string[] {
  const shapes = [...secrets].flatMap((secret) => shapesOf(kernelOf(secret)));
  return kept.flatMap(({ place, text }) =>
    shapes.filter((shape) => text.includes(shape)).map((shape) => `${place}: ${shape.slice(0, 6)}…`),
  );
}

/** What alone is secret of it: how a key begins is shown to recognise it by, and what a token grants is in the open. */
function kernelOf(secret: string): string {
  return secret.startsWith('mct_') ? secret.slice(-40) : secret.slice(12, 34);
}

/** In base64 it looks different by where it begins. */
function shapesOf(kernel: string): string[] {
  const inBase64 = [0, 1, 2].map((shift) =>
    Buffer.from(' '.repeat(shift) + kernel)
      .toString('base64')
      .slice(4, -4),
  );
  return [kernel, Buffer.from(kernel).toString('hex'), ...inBase64];
}

async function keptInDatabase(database: PostgresDatabase): Promise<Kept[]> {
  const kept: Kept[] = [];
  for (const { name } of await tablesOf(database)) {
    // A bytea is shown in hex.
    const rows = await database.run<{ row: string }>({
      name: `test.all_${name}`,
      text: `select t::text as row from ${name} t`,
    });
    kept.push({ place: `table ${name}`, text: rows.map(({ row }) => row).join('\n') });
  }
  return kept;
}

async function keptInRedis(url: string, prefix: string): Promise<Kept[]> {
  const nothing = (): void => undefined;
  const redis = createRedis({ url, name: 'test', onDown: nothing, onUp: nothing });
  try {
    await whenReady(redis, 5_000);
    const kept: Kept[] = [];
    let cursor = '0';
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000);
      for (const key of keys) {
        kept.push({ place: `redis ${key}`, text: JSON.stringify([key, await valueOf(redis, key)]) });
      }
      cursor = next;
    } while (cursor !== '0');
    return kept;
  } finally {
    redis.disconnect();
  }
}

async function valueOf(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key);
  switch (type) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, 0, -1, 'WITHSCORES');
    case 'stream':
      return redis.xrange(key, '-', '+');
    default:
      // It has ended since.
      if (type === 'none') return null;
      throw new Error(`${key} is a ${type}, which this test cannot read`);
  }
}

async function keptInTemporal(connection: Connection, namespace: string): Promise<Kept[]> {
  const { workflowService } = connection;
  const { executions } = await workflowService.listWorkflowExecutions({ namespace, pageSize: 1_000 });
  return Promise.all(
    executions.map(async ({ execution }) => {
      const request = { namespace, execution: execution ?? null };
      const { history } = await workflowService.getWorkflowExecutionHistory(request);
      const text = JSON.stringify(history, (_name, value: unknown) => legible(value));
      return { place: `workflow ${execution?.workflowId}`, text };
    }),
  );
}

/** Payloads are bytes. */
function legible(value: unknown): unknown {
  const bytes = value as { type?: unknown; data?: unknown } | null;
  if (bytes?.type === 'Buffer' && Array.isArray(bytes.data)) return Buffer.from(bytes.data).toString('utf8');
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
}
