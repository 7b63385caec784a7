/** The API with the routes of lent chunks alone, on a database of its own, and a job whose chunk is lent. */
import { toRemoteHandler } from '../../src/activities/handlers/remote-handler';
import { createApp } from '../../src/api/app';
import { chunkRoutes } from '../../src/api/chunk/routes';
import { createApiServer } from '../../src/api/server';
import type { JobOptions, Json } from '../../src/domain/batch/job';
import { type ChunkGrant, chunkPath } from '../../src/domain/handler/remote';
import { decodeId } from '../../src/domain/ids';
import { newId, systemClock } from '../../src/platform/clock';
import { createLogger } from '../../src/platform/logger';
import { createChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createLoanStore } from '../../src/platform/postgres/loan-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRateStore } from '../../src/platform/postgres/rate-store';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import { sealParams } from '../../src/domain/handler/secret-params';
import { createParamsCipher } from '../../src/platform/secrets/params-cipher';
import { createSecretBox } from '../../src/platform/secrets/secret-box';
import { createChunkTokens } from '../../src/platform/secrets/chunk-token';
import { call, type Reply } from './api';
import { insertTenant, openTestDatabase } from './database';
import { queuedJob } from './jobs';
import { recognising } from './known-keys';
import { noRateLimit } from './limits';

export const KEYS = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
const HANDLER = toRemoteHandler({
  name: 'far',
  description: 'Elsewhere.',
  remote: true,
  secret_params: ['token', 'headers.authorization'],
  input: { type: ['integer', 'object', 'string'], maximum: 1_000_000 },
  output: { not: { const: 'wrong' } },
});

export interface LentChunk {
  tenantId: string;
  jobId: string;
  no: number;
  path: string;
  token: string;
  /** `epoch` of a claim; `text` as it is */
  call(part: 'claim' | 'items' | 'results', how?: ChunkCall): Promise<Reply>;
  claim(): Promise<number>;
  items(epoch: number, query?: string): Promise<{ reply: Reply; indexes: number[] }>;
  post(epoch: number, lines: readonly object[]): Promise<Reply>;
  results(): Promise<{ index: number; status: string; output: unknown; error: unknown; attempts: number }[]>;
}

export interface ChunkCall {
  method?: string;
  epoch?: number;
  running?: number;
  text?: string | Uint8Array;
  query?: string;
  token?: string;
  headers?: Record<string, string>;
}

export interface ChunkApi {
  db: PostgresDatabase;
  runs: RunStore;
  url: string;
  logged(): string;
  sign(grant: ChunkGrant, keys?: readonly Uint8Array[]): string;
  /** The first chunk of a running job, lent to lane 0. */
  lend(
    inputs: readonly string[],
    options?: Partial<JobOptions>,
    params?: Record<string, Json>,
    sealedUnder?: Buffer,
  ): Promise<LentChunk>;
  close(): Promise<void>;
}

/** The chunk, lent to lane 0 for a minute. */
export function grantFor({ tenantId, jobId, no }: Pick<ChunkGrant, 'tenantId' | 'jobId' | 'no'>): ChunkGrant {
  const expiresAt = new Date(Date.now() + 60_000);
  return { tenantId, jobId, no, lane: 0, lanes: 1, clockAheadMs: 0, expiresAt };
}

export async function startChunkApi(): Promise<ChunkApi> {
  const { db, close } = await openTestDatabase();
  const secretKey = Buffer.alloc(32, 3);
  const runs = createRunStore(db, (queryable) => {
    const events = createEventStore(queryable);
    return { append: async (happened) => void (await events.append(happened)) };
  });
  const lines: string[] = [];
  const refuse = (): never => {
    throw new Error('not for these tests');
  };
  const app = createApp({
    routes: chunkRoutes({
      tokens: createChunkTokens(KEYS),
      chunks: createChunkStore(db),
      loans: createLoanStore(db),
      runs,
      rates: createRateStore(db),
      handlers: { find: (name) => (name === HANDLER.name ? HANDLER : undefined) },
      openFor: createParamsCipher(createSecretBox([secretKey])).openFor,
      progress: { touch: () => undefined },
      now: systemClock.now,
      chance: () => 0.5,
    }),
    log: createLogger({
      level: 'trace',
      role: 'api',
      destination: { write: (line) => void lines.push(line) },
    }),
    newRequestId: () => newId('request'),
    observeRequest: () => undefined,
    countRequest: () => undefined,
    ...noRateLimit,
    ...recognising(refuse),
    idempotency: { claim: refuse, complete: refuse, release: refuse },
    transact: refuse,
    secretBox: { seal: refuse, open: refuse },
  });
  const respond = app.callback();
  const server = createApiServer({
    listener: (req, res) => void respond(req, res),
    newRequestId: () => newId('request'),
  });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${port}`;
  const tenantId = await insertTenant(db);
  const sign = (grant: ChunkGrant, keys: readonly Uint8Array[] = KEYS): string =>
    createChunkTokens(keys).sign(grant);
  return {
    db,
    runs,
    url,
    logged: () => lines.join(''),
    sign,
    async lend(inputs, options = {}, params = {}, sealedUnder = secretKey) {
      const { sealFor } = createParamsCipher(createSecretBox([sealedUnder]));
      const sealed = sealParams(params, HANDLER.secretParams ?? [], sealFor(tenantId));
      const ref = await queuedJob(db, {
        ...{ tenantId, inputs, handler: 'far', options },
        params: sealed as Record<string, string>,
      });
      await runs.begin(ref);
      const token = sign(grantFor({ ...ref, no: 0 }));
      return lentChunk({ db, url }, { ...ref, token });
    },
    async close() {
      await server.drain(100);
      await close();
    },
  };
}

function lentChunk(
  { db, url }: Pick<ChunkApi, 'db' | 'url'>,
  lent: { tenantId: string; jobId: string; token: string },
): LentChunk {
  const path = chunkPath(lent.jobId, 0);
  const chunk: LentChunk = {
    ...lent,
    no: 0,
    path,
    call: (part, how = {}) =>
      call({ url }, `${path}/${part}${how.query ?? ''}`, {
        method: how.method ?? (part === 'items' ? 'GET' : 'POST'),
        key: how.token ?? lent.token,
        ...(how.text === undefined ? {} : { body: how.text }),
        headers: {
          ...(part === 'results' ? { 'Content-Type': 'application/x-ndjson' } : {}),
          ...(how.epoch === undefined ? {} : { 'Millrace-Epoch': String(how.epoch) }),
          ...(how.running === undefined ? {} : { 'Millrace-Running': String(how.running) }),
          ...how.headers,
        },
      }),
    async claim() {
      const { status, body, text } = await chunk.call('claim');
      if (status !== 200 || body.epoch === null) throw new Error(`no claim: ${text}`);
      return body.epoch as number;
    },
    async items(epoch, query = '') {
      const reply = await chunk.call('items', { epoch, query });
      const rows = reply.text.split('\n').filter((line) => line !== '');
      return { reply, indexes: rows.map((line) => (JSON.parse(line) as { index: number }).index) };
    },
    post: (epoch, lines) =>
      chunk.call('results', { epoch, text: lines.map((line) => JSON.stringify(line)).join('\n') }),
    results: () =>
      db.run(
        {
          name: 'test.results_of',
          text: `select index, status, output, error, attempts from results
               where job_id = $1 order by index`,
        },
        [decodeId('job', lent.jobId)],
      ),
  };
  return chunk;
}
