import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createBatchControl } from '../../src/activities/batch/control';
import type { RunStore as RunPort } from '../../src/activities/batch/ports';
import type { JobRef } from '../../src/domain/batch/job';
import { faultSummary, type Reduce } from '../../src/domain/batch/reduce';
import type { Finished } from '../../src/domain/batch/run';
import { AppError } from '../../src/domain/errors';
import { decodeId } from '../../src/domain/ids';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore } from '../../src/platform/postgres/run-store';
import { statement } from '../../src/platform/postgres/statement';
import { computeSummary, createSummaryStore } from '../../src/platform/postgres/summary-store';
import { type BatchApi, startBatchApi } from '../support/batch-api';

const RESULTS = statement(
  'test.outputs',
  `insert into results (job_id, index, status, output, attempts, duration_ms)
   select $1, t.n - 1, 'succeeded', t.o::json, 1, 0 from unnest($2::text[]) with ordinality t(o, n)`,
);
const SUM: Reduce = { metrics: { s: { op: 'sum', path: 'output' }, m: { op: 'max', path: 'output' } } };

let api: BatchApi;
let runs: RunPort;

beforeAll(async () => {
  api = await startBatchApi();
  runs = createRunStore(api.database, createEventStore);
});
afterAll(() => api.close());

/** A job that runs and has its results. */
async function runningJob(outputs: readonly string[], reduce = SUM): Promise<JobRef> {
  const { id } = await api.create({ handler: 'echo', reduce });
  await api.put(id, outputs.join('\n'));
  await api.call(`/v1/jobs/${id}/start`, { method: 'POST' });
  const ref = { tenantId: api.tenantId, jobId: id };
  await runs.begin(ref);
  await api.database.run(RESULTS, [decodeId('job', id), outputs]);
  return ref;
}

function finish(ref: JobRef, { store = runs, attempt = 1 } = {}): Promise<Finished> {
  const control = createBatchControl({
    runs: store,
    progress: { touch: () => undefined, flush: async () => undefined },
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    onCommitted: () => undefined,
    handlers: { get: () => undefined },
    now: () => new Date(),
    wake: async () => undefined,
    heartbeatMs: 1_000,
  });
  const environment = new MockActivityEnvironment({ attempt }, { logger: new DefaultLogger('ERROR') });
  return environment.run(control.batchFinish, { ...ref, outcome: 'drained' as const });
}

const summaryOf = async ({ jobId }: JobRef): Promise<string> =>
  (await api.call(`/v1/jobs/${jobId}/summary`)).text;

function openDatabase(url: string, statementTimeoutMs = 30_000): PostgresDatabase {
  const onIdleError = (): void => undefined;
  return createDatabase({ url, max: 1, applicationName: 'test', statementTimeoutMs, onIdleError });
}

/** Nobody reads results meanwhile, so that whatever does runs into its time limit. */
async function withResultsLocked<T>(work: () => Promise<T>): Promise<T> {
  const client = await api.database.connect();
  try {
    await client.query('begin; lock table results in access exclusive mode');
    return await work();
  } finally {
    await client.query('rollback');
    client.release();
  }
}

test('figures beyond 2^53 reach the client with all their digits, while the job runs and after its end', async () => {
  const ref = await runningJob(['9007199254740993', '0']);
  const groups = '"groups":[{"key":null,"metrics":{"s":9007199254740993,"m":9007199254740993}}]';
  const rest = `${groups},"skipped":{"s":0,"m":0},"groups_omitted":0}`;
  expect(await summaryOf(ref)).toBe(`{"job_id":"${ref.jobId}","partial":true,${rest}`);
  await finish(ref);
  expect(await summaryOf(ref)).toBe(`{"job_id":"${ref.jobId}","partial":false,${rest}`);
});

test('a summary that cannot be had says so, in the same way while the job runs and after its end', async () => {
  const metrics = Array.from({ length: 50 }, (_, i) => [`m${i}`, { op: 'max', path: 'output.v' }] as const);
  const reduce: Reduce = { group_by: 'output.g', metrics: Object.fromEntries(metrics) };
  const ref = await runningJob(
    Array.from({ length: 6 }, (_, g) => `{"g":${g},"v":1e131071}`),
    reduce,
  );
  const rest = faultSummary('size').slice(1);
  expect(await summaryOf(ref)).toBe(`{"job_id":"${ref.jobId}","partial":true,${rest}`);
  expect((await finish(ref)).status).toBe('completed');
  expect(await summaryOf(ref)).toBe(`{"job_id":"${ref.jobId}","partial":false,${rest}`);
});

test('a partial summary that takes longer than a statement may is an error in its place', async () => {
  const ref = await runningJob(['1']);
  const db = openDatabase(api.databaseUrl, 100);
  try {
    const read = await withResultsLocked(() => createSummaryStore(db).read(ref));
    expect(read).toEqual({ partial: true, text: faultSummary('time') });
  } finally {
    await db.close();
  }
});

const hasty: RunPort['summarise'] = ({ jobId }, reduce) =>
  withResultsLocked(() => computeSummary(api.database, { jobId, reduce, timeoutMs: 100 }));

const withoutDisk: RunPort['summarise'] = async ({ jobId }, reduce) => {
  const url = new URL(api.databaseUrl);
  url.searchParams.set('options', '-c temp_file_limit=0 -c work_mem=64kB');
  const db = openDatabase(url.href);
  try {
    return await computeSummary(db, { jobId, reduce });
  } finally {
    await db.close();
  }
};

test.each([
  ['takes too long', hasty, 'time'],
  ['needs more disk than there is', withoutDisk, 'resources'],
] as const)(
  'an aggregation that %s is tried once more, then the job ends without it',
  async (_name, summarise, fault) => {
    const ref = await runningJob(Array.from({ length: 20_000 }, (_, i) => String(i)));
    const store = { ...runs, summarise };
    await expect(finish(ref, { store, attempt: 1 })).rejects.toMatchObject({
      type: 'dependency_unavailable',
      nonRetryable: false,
    });
    expect((await runs.find(ref))?.status).toBe('finalizing');
    expect(await finish(ref, { store, attempt: 2 })).toMatchObject({
      status: 'completed',
      succeeded: 20_000,
    });
    const rest = faultSummary(fault).slice(1);
    expect(await summaryOf(ref)).toBe(`{"job_id":"${ref.jobId}","partial":false,${rest}`);
  },
);

test('an aggregation at which the database goes away each time does not hold the job up for ever', async () => {
  const ref = await runningJob(['1']);
  const away = async (): Promise<never> => {
    throw new AppError('dependency_unavailable', 'The database is away.');
  };
  const store = { ...runs, summarise: away };
  await expect(finish(ref, { store, attempt: 9 })).rejects.toMatchObject({ type: 'dependency_unavailable' });
  expect((await finish(ref, { store, attempt: 10 })).status).toBe('completed');
  expect(await summaryOf(ref)).toContain('"error":');
});
