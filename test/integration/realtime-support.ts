/** What the realtime tests share: a Redis to kill, events to relay, and API processes to connect to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createApp } from '../../src/api/app';
import type { Admission } from '../../src/api/realtime/admission';
import { createSocketHub, type SocketHub, type SocketHubOptions } from '../../src/api/realtime/socket-hub';
import { createSseHub, type SseHub, type SseHubOptions } from '../../src/api/realtime/sse-hub';
import { realtimeRoutes } from '../../src/api/realtime/routes';
import type { StreamMetrics } from '../../src/api/realtime/stream-metrics';
import { createStreams } from '../../src/api/realtime/streams';
import type { ItemWatch } from '../../src/api/realtime/ports';
import { createTopicGate } from '../../src/api/realtime/topic-name';
import { createTurnstile } from '../../src/api/realtime/turnstile';
import type { KnownKey } from '../../src/api/access/ports';
import { createApiServer } from '../../src/api/server';
import { upgradesOf } from '../../src/api/upgrade';
import { DEFAULT_OPTIONS } from '../../src/domain/batch/job';
import { formatKey } from '../../src/domain/key/key-format';
import type { Publication } from '../../src/domain/realtime/publication';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createJobStore } from '../../src/platform/postgres/job-store';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { createBlockingRedis, createRedis, whenReady } from '../../src/platform/redis/client';
import { createFirehose, type Firehose } from '../../src/platform/redis/firehose';
import { createRealtimeLog, type RealtimeLog } from '../../src/platform/redis/realtime-log';
import { decodeId } from '../../src/domain/ids';
import { findRedis } from '../../tools/servers/redis-binary';
import { recognising } from '../support/known-keys';
import { noRateLimit } from '../support/limits';

export const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

export function openDatabase(url: string): PostgresDatabase {
  return createDatabase({ url, max: 6, applicationName: 'realtime-test', onIdleError: () => undefined });
}

export interface OwnRedis {
  url: string;
  kill(): Promise<void>;
  /** after `kill`; keeps what was saved by SAVE */
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** A Redis that a test may flush, freeze and kill. */
export async function startOwnRedis(): Promise<OwnRedis> {
  const folder = await mkdtemp(path.join(tmpdir(), 'millrace-redis-'));
  const port = await freePort();
  // As the product finds it: where only Debian's redis-tools are, the program goes by another name.
  const redis = await findRedis({ env: process.env, isRoot: false, onProgress: () => undefined });
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    child = spawn(
      redis.command,
      ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '3600 100000'],
      { argv0: redis.argv0, stdio: 'ignore' },
    );
    const probe = connectRedis(`redis://127.0.0.1:${port}`);
    if (!(await whenReady(probe, 10_000))) throw new Error('redis-server did not start');
    probe.disconnect();
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  // A test run that is cut off must not leave it behind.
  process.once('exit', () => child?.kill('SIGKILL'));
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    start,
    kill,
    remove: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function connectRedis(url: string) {
  return createRedis({ url, name: 'realtime-test', onDown: () => undefined, onUp: () => undefined });
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const TENANT_INSERT = statement('test.tenant_insert', `insert into tenants (id, name) values ($1, 't')`);
const TENANT_FIND = statement('test.tenant_find', 'select 1 from tenants where id = $1');
const JOB_SET_STATUS = statement('test.job_set_status', 'update jobs set status = $2 where id = $1');

export async function insertTenant(db: PostgresDatabase): Promise<string> {
  const id = newId('tenant');
  await db.run(TENANT_INSERT, [decodeId('tenant', id)]);
  return id;
}

async function tenantExists(db: PostgresDatabase, id: string): Promise<boolean> {
  return (await db.run(TENANT_FIND, [decodeId('tenant', id)])).length > 0;
}

export interface TestJob {
  tenantId: string;
  jobId: string;
}

/** A job with its `job.created` in the outbox. */
export async function insertJob(db: PostgresDatabase, tenantId: string): Promise<TestJob> {
  const id = newId('job');
  await db.transaction((tx) =>
    createJobStore(tx, createEventStore(tx)).insert({
      id,
      tenantId,
      keyId: null,
      name: null,
      handler: 'echo',
      params: {},
      reduce: null,
      options: DEFAULT_OPTIONS,
      metadata: {},
    }),
  );
  return { tenantId, jobId: id };
}

/** Moves the job and says so, as the stores do: in one transaction. */
export async function moveJob(
  db: PostgresDatabase,
  job: TestJob,
  status: string,
  type = `job.${status}`,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.run(JOB_SET_STATUS, [decodeId('job', job.jobId), status]);
    const data = JSON.stringify({ job_id: job.jobId, status });
    await createEventStore(tx).append([{ tenantId: job.tenantId, type, subject: job.jobId, data }]);
  });
}

export function progress(jobId: string, data: object): Publication {
  return {
    eventId: undefined,
    type: 'job.progress',
    payload: JSON.stringify({ type: 'job.progress', data }),
    targets: [{ topic: `job:${jobId}`, final: false }],
  };
}

/** Lets everybody in. */
export const openDoor: Admission = {
  admit: async () => ({ needs: () => undefined, leave: () => undefined }),
};

export interface CountedStreams extends StreamMetrics {
  counts: Record<'opened' | 'closed' | 'cutOff' | 'delivered', number>;
}

export function countStreams(): CountedStreams {
  const counts = { opened: 0, closed: 0, cutOff: 0, delivered: 0 };
  return {
    counts,
    opened: () => void counts.opened++,
    closed: () => void counts.closed++,
    cutOff: () => void counts.cutOff++,
    delivered: (_kind, count) => {
      counts.delivered += count;
    },
    refused: () => undefined,
    ended: () => undefined,
  };
}

export interface ApiProcess {
  port: number;
  hub: SseHub;
  sockets: SocketHub;
  metrics: CountedStreams;
  firehose: Firehose;
  realtime: RealtimeLog;
  /** as on SIGTERM */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

export const TEST_KEY = formatKey('a'.repeat(30));

export interface ApiProcessOptions {
  redisUrl: string;
  prefix: string;
  db: PostgresDatabase;
  key: KnownKey;
  hub?: Partial<SseHubOptions>;
  sockets?: Partial<SocketHubOptions>;
  admission?: Admission;
  items?: ItemWatch;
  markMs?: number;
}

/** What one API process has of realtime: its own connections, reader, hub and HTTP server. */
export async function startApiProcess(options: ApiProcessOptions): Promise<ApiProcess> {
  const watch = {
    url: options.redisUrl,
    name: 'realtime-test',
    onDown: () => undefined,
    onUp: () => undefined,
  };
  const redis = createRedis(watch);
  const firehose = createFirehose({ redis: createBlockingRedis(watch), prefix: options.prefix, log: silent });
  const realtime = createRealtimeLog({ redis, prefix: options.prefix, onRefused: () => undefined });
  const jobs = createJobStore(options.db, createEventStore(options.db));
  const metrics = countStreams();
  const hub = createSseHub({ random: () => 0.5, retryMs: 20, metrics, ...options.hub });
  const sockets = createSocketHub({ random: () => 0.5, retryMs: 20, metrics, ...options.sockets });
  const readJob = (ref: TestJob) => jobs.find(ref);
  const streams = createStreams({
    feed: firehose,
    log: realtime,
    readJob,
    snapshots: createTurnstile(4),
    items: options.items ?? { watch: () => () => undefined },
    onFailure: () => undefined,
    ...(options.markMs === undefined ? {} : { markMs: options.markMs }),
  });
  const unused = (): never => {
    throw new Error('these routes write nothing');
  };
  const routes = realtimeRoutes({
    streams,
    readJob,
    sse: hub,
    sockets,
    gate: createTopicGate({ readJob, tenantExists: async (id) => tenantExists(options.db, id) }),
    admission: options.admission ?? openDoor,
    monotonicMs: () => performance.now(),
  });
  const app = createApp({
    routes,
    log: { ...silent, request: () => undefined },
    newRequestId: () => newId('request'),
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    ...recognising(async () => options.key),
    idempotency: { claim: unused, complete: unused, release: unused },
    transact: unused,
    secretBox: { seal: unused, open: unused },
  });
  const answer = app.callback();
  const server = createApiServer({
    listener: (req, res) => void answer(req, res),
    newRequestId: () => newId('request'),
    mayUpgrade: upgradesOf(routes),
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  await Promise.all([whenReady(redis, 10_000), firehose.ready()]);
  const drain = async (): Promise<void> => {
    hub.drain();
    sockets.drain();
    await server.drain(1_000);
  };
  return {
    port,
    hub,
    sockets,
    metrics,
    firehose,
    realtime,
    drain,
    stop: async () => {
      await drain();
      await firehose.stop();
      redis.disconnect();
    },
  };
}

export interface Proxy {
  port: number;
  /** connections taken so far */
  readonly taken: number;
  /** Cuts what is open, as a network would. */
  cut(): void;
  close(): Promise<void>;
}

/** Hands each new connection to the next of `ports`. */
export async function startProxy(ports: readonly number[]): Promise<Proxy> {
  const open = new Set<Socket>();
  let taken = 0;
  const server = createTcpServer((inbound) => {
    const outbound = connect(ports[taken++ % ports.length] ?? 0, '127.0.0.1');
    for (const socket of [inbound, outbound]) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        inbound.destroy();
        outbound.destroy();
      });
    }
    inbound.pipe(outbound).pipe(inbound);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get taken() {
      return taken;
    },
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface Deferred {
  promise: Promise<void>;
  resolve(): void;
}

export function deferred(): Deferred {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
