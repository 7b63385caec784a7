/** The API with the job routes alone, on a database of its own, with limits small enough to run into. */
import path from 'node:path';
import type { Job } from '../../src/domain/batch/job';
import type { Counts } from '../../src/domain/batch/job';
import type { Scope } from '../../src/domain/key/scopes';
import { AppError } from '../../src/domain/errors';
import { createApp } from '../../src/api/app';
import type { JobEngine } from '../../src/api/batch/ports';
import type { UploadLimits } from '../../src/api/batch/put-items';
import { createParquetGate } from '../../src/api/batch/results/parquet';
import { batchRoutes } from '../../src/api/batch/routes';
import { createUploadGate } from '../../src/api/batch/ingest/upload-gate';
import { createApiServer } from '../../src/api/server';
import { UNBOUND } from '../../src/domain/key/key-bounds';
import { newId, systemClock } from '../../src/platform/clock';
import { createKeyLookup } from '../../src/platform/postgres/key-lookup';
import { createParquetFiles } from '../../src/platform/parquet/parquet-files';
import { createItemStore } from '../../src/platform/postgres/item-store';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { createStores, createTransact } from '../../src/platform/postgres/stores';
import { compiledScript } from '../../src/platform/sandbox/script';
import { createKeyMint } from '../../src/platform/secrets/key-mint';
import { createParamsCipher } from '../../src/platform/secrets/params-cipher';
import { createSecretBox } from '../../src/platform/secrets/secret-box';
import { createLogger } from '../../src/platform/logger';
import { call, type Call, type Reply } from './api';
import { recognising } from './known-keys';
import { noRateLimit } from './limits';
import { createTestDatabase } from './servers';

export interface BatchApi {
  url: string;
  port: number;
  database: PostgresDatabase;
  databaseUrl: string;
  key: string;
  tenantId: string;
  /** what was asked of Temporal */
  engineCalls: { method: string; jobId: string }[];
  /** what the workflow answers to `progress` */
  reported: Map<string, Counts>;
  engineAway: boolean;
  newTenant(scopes?: readonly Scope[], plan?: string): Promise<{ tenantId: string; key: string }>;
  call(path: string, how?: Call): Promise<Reply>;
  /** a job that waits for items */
  create(body?: object): Promise<Job>;
  put(jobId: string, body: string | Uint8Array, headers?: Record<string, string>): Promise<Reply>;
  close(): Promise<void>;
}

export const TEST_LIMITS: UploadLimits = {
  itemBytesMax: 1_048_576,
  bytesMax: 64 * 1024 * 1024,
  pace: { bytesPerSecond: 1024, windowMs: 5_000 },
  linger: { bytesMax: 64 * 1024 * 1024, timeMaxMs: 2_000 },
};

export interface BatchApiOptions {
  limits?: Partial<UploadLimits>;
  uploads?: { perTenant: number; total: number };
  itemsMax?: number;
}

export async function startBatchApi(options: BatchApiOptions = {}): Promise<BatchApi> {
  const { url: databaseUrl, drop } = await createTestDatabase();
  const open = (max: number): PostgresDatabase =>
    createDatabase({ url: databaseUrl, max, applicationName: 'test', onIdleError: () => undefined });
  const database = open(8);
  const uploads = open(8);
  const stores = createStores(database);
  const mint = createKeyMint();
  const api: BatchApi = {
    ...{ url: '', port: 0, key: '', tenantId: '', database, databaseUrl },
    ...{ engineCalls: [], reported: new Map<string, Counts>(), engineAway: false },
    async newTenant(scopes = ['admin'], plan = 'unlimited') {
      const tenantId = newId('tenant');
      await stores.tenants.insert({ id: tenantId, name: 'test', plan });
      const { secret, prefix, hash } = mint.mint();
      const id = newId('key');
      await stores.keys.insert({ id, tenantId, name: 'test', prefix, hash, scopes, bounds: UNBOUND });
      return { tenantId, key: secret };
    },
    call: (path, how) => call(api, path, { key: api.key, ...how }),
    async create(body = { handler: 'echo' }) {
      const reply = await api.call('/v1/jobs', { body });
      if (reply.status !== 201) throw new Error(reply.text);
      return reply.body as Job;
    },
    put: (jobId, body, headers = {}) =>
      api.call(`/v1/jobs/${jobId}/items`, {
        method: 'PUT',
        body,
        headers: { 'Content-Type': 'application/x-ndjson', ...headers },
      }),
    async close() {
      await server.drain(100);
      await Promise.all([database.close(), uploads.close()]);
      await drop();
    },
  };
  const app = createApp({
    routes: batchRoutes({
      latestCursor: () => undefined,
      jobs: stores.jobs,
      items: createItemStore({
        db: database,
        uploads,
        jobsOn: (queryable) => createStores(queryable).jobs,
        itemsMax: options.itemsMax ?? 1_000_000,
      }),
      parquet: createParquetFiles({
        threadFile: compiledScript('parquet-thread', path.join(__dirname, '../../src/platform/parquet')),
      }),
      parquetGate: createParquetGate({ perTenant: 2, total: 4 }),
      engine: recordingEngine(api),
      handlers: { find: (name) => (name === 'echo' ? { validateParams: refuseBad } : undefined) },
      sealFor: createParamsCipher(createSecretBox([Buffer.alloc(32, 7)])).sealFor,
      gate: createUploadGate(options.uploads ?? { perTenant: 8, total: 8 }),
      limits: { ...TEST_LIMITS, ...options.limits },
      newJobId: () => newId('job'),
      now: systemClock.now,
      temporalLink: ({ tenantId, jobId }) => `http://temporal.test/${tenantId}/${jobId}`,
    }),
    log: createLogger({ level: 'silent', role: 'api' }),
    newRequestId: () => newId('request'),
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    ...recognising(createKeyLookup(database).findByHash),
    idempotency: stores.idempotency,
    transact: createTransact(database),
    secretBox: createSecretBox([Buffer.alloc(32, 7)]),
  });
  const server = createApiServer({
    listener: (req, res) => void app.callback()(req, res),
    newRequestId: () => newId('request'),
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  return Object.assign(api, { port, url: `http://127.0.0.1:${port}` }, await api.newTenant());
}

async function refuseBad(params: unknown): Promise<void> {
  if (typeof params === 'object' && params !== null && 'bad' in params) {
    throw new AppError('invalid_params', 'bad is not taken.');
  }
}

function recordingEngine(api: BatchApi): JobEngine {
  const record = async (method: string, jobId: string): Promise<void> => {
    api.engineCalls.push({ method, jobId });
    if (api.engineAway) throw new AppError('dependency_unavailable', 'Temporal is away.');
  };
  return {
    start: ({ jobId }) => record('start', jobId),
    wake: ({ jobId }) => record('wake', jobId),
    progress: async ({ jobId }) => {
      await record('progress', jobId);
      return api.reported.get(jobId);
    },
  };
}
