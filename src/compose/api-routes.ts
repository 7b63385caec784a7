/** The wiring of the API's features: each port of a route and what fulfils it. */
import path from 'node:path';
import { createUploadGate } from '../api/batch/ingest/upload-gate';
import { type JobBodyDeps, toJobBody } from '../api/batch/job-body';
import { createParquetGate } from '../api/batch/results/parquet';
import type { BatchRouteDeps } from '../api/batch/routes';
import { createJobStreams, type JobStreams } from '../api/events/job-streams';
import type { ReadJob } from '../api/events/ports';
import { createSseHub } from '../api/events/sse-hub';
import { createTurnstile } from '../api/events/turnstile';
import { ITEM_BYTES_MAX } from '../domain/batch/item';
import type { HandlerRegistry } from '../domain/handler/contract';
import { workflowIdFor } from '../domain/ids';
import { newId, systemClock } from '../platform/clock';
import type { ApiConfig } from '../platform/config';
import { createParquetFiles } from '../platform/parquet/parquet-files';
import { createItemStore, ITEM_INDEX_MAX } from '../platform/postgres/item-store';
import { statement } from '../platform/postgres/statement';
import { createStores, type PostgresStores } from '../platform/postgres/stores';
import { createBlockingRedis } from '../platform/redis/client';
import { createFirehose } from '../platform/redis/firehose';
import { compiledScript } from '../platform/sandbox/script';
import { createParamsCipher } from '../platform/secrets/params-cipher';
import { type Common, openDatabase, type Setting } from './parts';

/** Uploads of this process at once; each holds a connection of a pool of its own for as long as it takes. */
const UPLOADS_AT_ONCE = 8;
const UPLOAD_PACE = { bytesPerSecond: 1_000, windowMs: 10_000 };
const UPLOAD_LINGER = { bytesMax: 16 * 1024 * 1024, timeMaxMs: 2_000 };
/** Parquet files in the making at once, each with a thread. */
const PARQUET_AT_ONCE = { perTenant: 2, total: 4 };
const SNAPSHOTS_AT_ONCE = 4;
const TEMPORAL_CHECK_TIMEOUT_MS = 1_500;
const PING = statement('health.ping', 'select 1');

export function healthChecks({ database, redis, temporal }: Common) {
  return {
    database: () => database.run(PING),
    redis: () => redis.ping(),
    temporal: () =>
      temporal.within(TEMPORAL_CHECK_TIMEOUT_MS, () => temporal.connection.workflowService.getSystemInfo({})),
  };
}

export function jobBodyDeps({ temporal }: ApiConfig): JobBodyDeps {
  return {
    now: systemClock.now,
    temporalLink: ({ tenantId, jobId }) => {
      if (temporal.uiUrl === undefined) return null;
      const workflow = encodeURIComponent(workflowIdFor.batch(tenantId, jobId));
      return `${temporal.uiUrl}/namespaces/${encodeURIComponent(temporal.namespace)}/workflows/${workflow}`;
    },
  };
}

interface BatchParts extends Pick<Common, 'database' | 'engine' | 'secretBox'> {
  stores: PostgresStores;
  handlers: HandlerRegistry;
}

export function batchDeps(setting: Setting<ApiConfig>, parts: BatchParts): BatchRouteDeps {
  const { config } = setting;
  const uploads = openDatabase(setting, { name: 'uploads', max: UPLOADS_AT_ONCE, statementTimeoutMs: 0 });
  return {
    ...jobBodyDeps(config),
    jobs: parts.stores.jobs,
    items: createItemStore({
      db: parts.database,
      uploads,
      jobsOn: (queryable) => createStores(queryable).jobs,
      itemsMax: ITEM_INDEX_MAX,
    }),
    parquet: createParquetFiles({
      threadFile: compiledScript('parquet-thread', path.join(__dirname, '../platform/parquet')),
    }),
    parquetGate: createParquetGate(PARQUET_AT_ONCE),
    engine: parts.engine,
    handlers: { find: (name) => parts.handlers.get(name) },
    sealFor: createParamsCipher(parts.secretBox).sealFor,
    newJobId: () => newId('job'),
    gate: createUploadGate({ perTenant: config.uploads.perTenant, total: UPLOADS_AT_ONCE }),
    limits: {
      itemBytesMax: ITEM_BYTES_MAX,
      bytesMax: config.uploads.bytesMax,
      pace: UPLOAD_PACE,
      linger: UPLOAD_LINGER,
    },
  };
}

export interface Realtime {
  streams: JobStreams;
  readJob: ReadJob;
  /** Ends all streams, telling each when to come back. */
  drain(): void;
}

export function openRealtime(setting: Setting<ApiConfig>, common: Common, stores: PostgresStores): Realtime {
  const { config, log, lifecycle } = setting;
  const feed = createFirehose({
    redis: createBlockingRedis({
      url: config.redisUrl,
      name: 'millrace-api-firehose',
      onDown: (err) => log.warn({ err }, 'redis firehose is away'),
      onUp: () => log.info('redis firehose is back'),
    }),
    prefix: config.redisPrefix,
    log,
  });
  lifecycle.onClose('realtime firehose', () => feed.stop());
  const hub = createSseHub({ random: Math.random });
  // A stream is followed by many: it shows what every one of them may see.
  const asker = { scopes: [] };
  const readJob: ReadJob = async (ref) => toJobBody(jobBodyDeps(config), await stores.jobs.find(ref), asker);
  const streams = createJobStreams({
    hub,
    feed,
    log: common.realtime,
    readJob,
    snapshots: createTurnstile(SNAPSHOTS_AT_ONCE),
    onFailure: (err, ref) => log.warn({ err, job_id: ref.jobId, tenant_id: ref.tenantId }, 'stream failed'),
  });
  return { streams, readJob, drain: () => hub.drain() };
}
