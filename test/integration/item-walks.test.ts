import { decodeId } from '../../src/domain/ids';
import { createChunkStore } from '../../src/platform/postgres/chunk-store';
import { createItemReads, type ItemReads } from '../../src/platform/postgres/item-reads';
import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { createResultReads, type ResultReads } from '../../src/platform/postgres/result-reads';
import { statement } from '../../src/platform/postgres/statement';
import { insertTenant } from '../support/database';
import { queuedJob } from '../support/jobs';
import { createTestDatabase, type TestDatabase } from '../support/servers';

const TOTAL = 300;
const BYTES = 200_000;
const LARGE = JSON.stringify('x'.repeat(BYTES - 2));

const RESULTS = statement(
  'test.large_results',
  `insert into results (job_id, index, status, output, attempts, duration_ms)
   select $1, i, 'succeeded', $2::json, 1, 1 from generate_series(0, $3::int - 1) i`,
);
const DROP_RESULTS = statement('test.drop_results', 'delete from results where job_id = $1');
const STORED_BYTES = statement<{ items: number; results: number }>(
  'test.stored_bytes',
  `select (select max(bytes) from items where job_id = $1) as items,
     (select max(bytes) from results where job_id = $1) as results`,
);
const FLUSH = statement('test.flush', 'select pg_stat_force_next_flush()');
const TEMP_BYTES = statement<{ temp: number }>(
  'test.temp_bytes',
  'select temp_bytes::float8 as temp from pg_stat_database where datname = current_database()',
);
/** What the pages did once: their texts go through a window. */
const SPILL = statement(
  'test.spill',
  `select n from (
     select text, count(*) over () as n from (select output::text as text from results where job_id = $1 limit $2) found
   ) page where text is not null`,
);

describe('a walk over large texts', () => {
  let database: TestDatabase;
  let db: PostgresDatabase;
  let reads: ItemReads & ResultReads;
  let ref: { tenantId: string; jobId: string };

  beforeAll(async () => {
    database = await createTestDatabase();
    // One connection: what it did is what the statistics tell once it has flushed them.
    db = createDatabase({
      url: database.url,
      max: 1,
      applicationName: 'test',
      onIdleError: () => undefined,
    });
    reads = { ...createItemReads(db), ...createResultReads(db) };
    const inputs = Array.from({ length: TOTAL }, () => LARGE);
    ref = await queuedJob(db, { tenantId: await insertTenant(db), inputs });
    await db.run(RESULTS, [decodeId('job', ref.jobId), LARGE, TOTAL]);
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  const tempBytes = async (): Promise<number> => {
    await db.run(FLUSH);
    return (await db.run(TEMP_BYTES))[0]?.temp ?? 0;
  };
  const tempBytesOf = async (work: () => Promise<unknown>): Promise<number> => {
    const before = await tempBytes();
    await work();
    return (await tempBytes()) - before;
  };

  test('the length of a text is stored beside it', async () => {
    const [stored] = await db.run(STORED_BYTES, [decodeId('job', ref.jobId)]);
    expect(stored).toEqual({ items: BYTES, results: BYTES });
  });

  test('temporary files would be noticed', async () => {
    const spilled = await tempBytesOf(() => db.run(SPILL, [decodeId('job', ref.jobId), TOTAL]));
    expect(spilled).toBeGreaterThan(TOTAL * BYTES * 0.9);
  });

  const readAll = async (
    page: (from: number) => Promise<{ rows: { index: number }[]; next: number | null }>,
    bytesOf: (row: never) => number,
  ): Promise<void> => {
    const seen: number[] = [];
    for (let from: number | null = 0; from !== null; ) {
      const { rows, next }: Awaited<ReturnType<typeof page>> = await page(from);
      expect(rows.map((row) => bytesOf(row as never))).toEqual(rows.map(() => BYTES));
      seen.push(...rows.map((row) => row.index));
      from = next;
    }
    expect(seen).toEqual(Array.from({ length: TOTAL }, (_, i) => i));
  };
  const resultPage = (ended: boolean, status?: 'succeeded') => async (from: number) => {
    const { text, bytes, next } = await reads.resultLines({
      ...ref,
      ended,
      status,
      total: TOTAL,
      from,
      span: 2_048,
    });
    expect(bytes).toBeLessThan(1024 * 1024 + 2 * BYTES);
    const rows = text.split('\n').filter((line) => line !== '');
    return { rows: rows.map((line) => JSON.parse(line) as { index: number; output: string }), next };
  };

  test.each([
    ['the results of an ended job', resultPage(true)],
    ['the results of a running job', resultPage(false)],
    ['the results that succeeded', resultPage(true, 'succeeded')],
  ])('%s are read without temporary files', async (_what, page) => {
    const walk = (): Promise<void> => readAll(page, (row: { output: string }) => row.output.length + 2);
    expect(await tempBytesOf(walk)).toBe(0);
  });

  test.each([undefined, 'succeeded'] as const)(
    'items (status: %s) are read without temporary files',
    async (status) => {
      const page = (from: number) => reads.page({ ...ref, status, from, limit: 1_000 });
      const walk = (): Promise<void> => readAll(page, (row: { input: string }) => row.input.length);
      expect(await tempBytesOf(walk)).toBe(0);
    },
  );

  test('the items of a chunk are read without temporary files', async () => {
    await db.run(DROP_RESULTS, [decodeId('job', ref.jobId)]);
    const chunks = createChunkStore(db);
    const page = async (from: number) => {
      const rows = await chunks.readPending(
        { ...ref, no: 0 },
        { upload: 1, after: from - 1, end: TOTAL, limit: 1_000, bytesMax: 1_000_000, due: new Date(0) },
      );
      const last = rows.at(-1)?.index ?? TOTAL - 1;
      return { rows, next: last + 1 < TOTAL ? last + 1 : null };
    };
    const walk = (): Promise<void> => readAll(page, (row: { input: string }) => row.input.length);
    expect(await tempBytesOf(walk)).toBe(0);
  });
});
