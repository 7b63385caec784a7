/** What the tests of WebSockets share: a Redis of their own, a job to follow, and clients that note all they are told. */
import type { Redis } from 'ioredis';
import type { KnownKey } from '../../src/api/access/ports';
import { SCOPES } from '../../src/domain/key/scopes';
import { publicationOf } from '../../src/domain/realtime/publication';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createOutboxStore } from '../../src/platform/postgres/outbox-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { whenReady } from '../../src/platform/redis/client';
import { createRealtimeLog, realtimeKeys } from '../../src/platform/redis/realtime-log';
import { knownKey } from '../support/principal';
import { createTestDatabase } from '../support/servers';
import { openSocket, type SocketClient } from '../support/socket-client';
import {
  type ApiProcess,
  type ApiProcessOptions,
  connectRedis,
  insertJob,
  insertTenant,
  moveJob,
  openDatabase,
  progress,
  startApiProcess,
  startOwnRedis,
  TEST_KEY,
  type TestJob,
} from './realtime-support';

export const headers = { Authorization: `Bearer ${TEST_KEY}` };

export function socketAddress(port: number): string {
  return `ws://127.0.0.1:${port}/v1/realtime`;
}

export interface ApiWish
  extends Partial<Pick<ApiProcessOptions, 'sockets' | 'admission' | 'items' | 'markMs' | 'redisUrl'>> {
  key?: Partial<KnownKey>;
}

export async function startSocketWorld() {
  const testDatabase = await createTestDatabase();
  const ownRedis = await startOwnRedis();
  const db = openDatabase(testDatabase.url);
  const redis = connectRedis(ownRedis.url);
  await whenReady(redis, 10_000);
  const close = async (): Promise<void> => {
    await db.close();
    redis.disconnect();
    await ownRedis.remove();
    await testDatabase.drop();
  };
  return { db, redis, redisUrl: ownRedis.url, close };
}

export type SocketWorld = Awaited<ReturnType<typeof startSocketWorld>>;

/** One test's tenant with a job, whatever Redis holds for others. */
export async function startScene(world: SocketWorld): Promise<Scene> {
  const tenantId = await insertTenant(world.db);
  const job = await insertJob(world.db, tenantId);
  const scene = new Scene(world, job);
  await scene.relay();
  return scene;
}

export class Scene {
  readonly prefix = `${newId('request')}:`;
  readonly #log;
  readonly #cleanUps: (() => unknown)[] = [];

  constructor(
    private readonly world: SocketWorld,
    readonly job: TestJob,
  ) {
    // More than an installation keeps: tests fill the buffers of both systems.
    const logBytesMax = 64 * 1024 * 1024;
    this.#log = createRealtimeLog({
      redis: world.redis,
      prefix: this.prefix,
      onRefused: () => undefined,
      logBytesMax,
    });
  }

  get db(): PostgresDatabase {
    return this.world.db;
  }

  get redis(): Redis {
    return this.world.redis;
  }

  get tenantId(): string {
    return this.job.tenantId;
  }

  get topic(): string {
    return `job:${this.job.jobId}`;
  }

  /** What the worker's relay does, once. */
  async relay(): Promise<void> {
    await createOutboxStore(this.db).passOn(100, (events) => this.#log.publish(events.map(publicationOf)));
  }

  async move(status: string, type?: string): Promise<void> {
    await moveJob(this.db, this.job, status, type);
    await this.relay();
  }

  async happen(type: string, data: string): Promise<void> {
    const { tenantId } = this;
    await createEventStore(this.db).append([{ tenantId, type, subject: tenantId, data }]);
    await this.relay();
  }

  async publish(from: number, to: number, data: object = {}): Promise<void> {
    for (let n = from; n < to; n++) await this.#log.publish([progress(this.job.jobId, { ...data, n })]);
  }

  /** An API process, asked with a key of the tenant. */
  async api({ key: change, ...options }: ApiWish = {}): Promise<ApiProcess> {
    const scopes = SCOPES.filter((scope) => scope !== 'admin');
    const key = knownKey({ tenantId: this.tenantId, scopes, ...change });
    const { redisUrl, db } = this.world;
    const started = await startApiProcess({ redisUrl, prefix: this.prefix, db, key, ...options });
    this.cleanUp(() => started.stop());
    return started;
  }

  async open(port: number, options: object = {}): Promise<SocketClient> {
    const client = await openSocket(socketAddress(port), { headers, ...options });
    this.cleanUp(() => client.ws.terminate());
    return client;
  }

  async loggedAfter(cursor: number): Promise<number[]> {
    const { log } = realtimeKeys(this.prefix);
    const entries = await this.redis.xrange(log(this.topic), `${cursor + 1}-0`, '+');
    return entries.map(([id]) => Number.parseInt(id, 10));
  }

  /** Done at the end, the last one first. */
  cleanUp(step: () => unknown): void {
    this.#cleanUps.push(step);
  }

  async close(): Promise<void> {
    for (const step of this.#cleanUps.splice(0).reverse()) await step();
  }
}

/** Tells how many jobs are followed with their items: whoever follows none has left its topics. */
export function watching() {
  const counts = { begun: 0, open: 0 };
  const watch = (): (() => void) => {
    counts.begun++;
    counts.open++;
    return () => {
      counts.open--;
    };
  };
  return Object.assign(counts, { items: { watch } });
}

export function eventNames({ events }: SocketClient): string[] {
  return events.map(({ event }) => event);
}

export function cursors({ events }: SocketClient): (number | undefined)[] {
  return events.map(({ cursor }) => cursor);
}
