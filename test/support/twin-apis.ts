/** Two API processes of one installation, in this one: one database, one Redis, one prefix. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { createRedis, whenReady } from '../../src/platform/redis/client';
import { call, startApi, type Reply, type TestApi } from './api';
import { testServers } from './servers';
import { until } from './wait';

export interface TwinApis {
  apis: readonly [TestApi, TestApi];
  adminKey: string;
  redis: Redis;
  prefix: string;
  /** A tenant on a plan with these figures. @returns its id and a key of it */
  tenantWith(plan: { minute?: number; day?: number }): Promise<{ id: string; key: string }>;
  close(): Promise<void>;
}

export async function startTwinApis(env: Record<string, string> = {}): Promise<TwinApis> {
  const prefix = `test:${randomBytes(6).toString('hex')}:`;
  const shared = { MILLRACE_REDIS_PREFIX: prefix, ...env };
  const first = await startApi(shared);
  const second = await startApi({ ...shared, DATABASE_URL: first.databaseUrl });
  const nothing = (): void => undefined;
  const url = env['REDIS_URL'] ?? testServers().redisUrl;
  const redis = createRedis({ url, name: 'test', onDown: nothing, onUp: nothing });
  await whenReady(redis, 5_000);
  const { adminKey } = first;
  const admin = async (path: string, body: unknown): Promise<Reply> => {
    const reply = await call(first, path, { key: adminKey, body });
    if (reply.status !== 201) throw new Error(`${path}: ${reply.text}`);
    return reply;
  };
  return {
    apis: [first, second],
    adminKey,
    redis,
    prefix,
    tenantWith: async ({ minute, day }) => {
      const name = `plan-${randomBytes(4).toString('hex')}`;
      await admin('/v1/plans', { name, requests_per_minute: minute ?? null, requests_per_day: day ?? null });
      const tenant = await admin('/v1/tenants', { name, plan: name });
      const id: string = tenant.body.id;
      return { id, key: await first.createKey({ tenantId: id, scopes: ['jobs:read', 'jobs:write'] }) };
    },
    close: async () => {
      redis.disconnect();
      await second.close();
      await first.close();
    },
  };
}

/** Each of them knows of the other: what one alone may give out follows from it. */
export async function knowEachOther({ apis }: TwinApis): Promise<void> {
  const knows = (api: TestApi): boolean =>
    api.logged().some(({ message, processes }) => message === 'live API processes' && processes === 2);
  await until('both to know of two processes', () => apis.every(knows));
}

/** One request after the other. @returns how often each status came */
export async function statusesOf(api: TestApi, key: string, times: number): Promise<Record<number, number>> {
  const statuses: Record<number, number> = {};
  for (let i = 0; i < times; i++) {
    const { status } = await call(api, '/v1/handlers', { key });
    statuses[status] = (statuses[status] ?? 0) + 1;
  }
  return statuses;
}
