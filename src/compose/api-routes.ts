/** The wiring of the API's features: each port of a route and what fulfils it. */
import path from 'node:path';
import { createUploadGate } from '../api/batch/ingest/upload-gate';
import type { JobBodyDeps } from '../api/batch/job-body';
import { createParquetGate } from '../api/batch/results/parquet';
import type { BatchRouteDeps } from '../api/batch/routes';
import { ITEM_BYTES_MAX } from '../domain/batch/item';
import type { HandlerRegistry } from '../domain/handler/contract';
import { workflowIdFor } from '../domain/ids';
import { newId, systemClock } from '../platform/clock';
import type { ApiConfig } from '../platform/config';
import { createParquetFiles } from '../platform/parquet/parquet-files';
import { createItemStore, ITEM_INDEX_MAX } from '../platform/postgres/item-store';
import { statement } from '../platform/postgres/statement';
import { createStores, type PostgresStores } from '../platform/postgres/stores';
import { compiledScript } from '../platform/sandbox/script';
import { createParamsCipher } from '../platform/secrets/params-cipher';
import { type Common, openDatabase, type Setting } from './parts';

/** Uploads of this process at once; each holds a connection of a pool of its own for as long as it takes. */
const UPLOADS_AT_ONCE = 8;
const UPLOAD_PACE = { bytesPerSecond: 1_000, windowMs: 10_000 };
const UPLOAD_LINGER = { bytesMax: 16 * 1024 * 1024, timeMaxMs: 2_000 };
/** Parquet files in the making at once, each with a thread. */
const PARQUET_AT_ONCE = { perTenant: 2, total: 4 };
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
  latestCursor: BatchRouteDeps['latestCursor'];
}

export function batchDeps(setting: Setting<ApiConfig>, parts: BatchParts): BatchRouteDeps {
  const { config } = setting;
  const uploads = openDatabase(setting, { name: 'uploads', max: UPLOADS_AT_ONCE, statementTimeoutMs: 0 });
  return {
    ...jobBodyDeps(config),
    latestCursor: parts.latestCursor,
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
