/** An ended job whose results are too many for the buffers between an API and its client. */
import { decodeId } from '../../src/domain/ids';
import { statement } from '../../src/platform/postgres/statement';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';

/** What hardly gets smaller by compression: hashes, $3 of 32 characters each. */
const RESULTS = statement(
  'test.bulky_results',
  `insert into results (job_id, index, status, output, attempts, duration_ms)
   select $1, i, 'succeeded',
     to_json((select string_agg(md5(i || '/' || k), '') from generate_series(1, $3::int) k)), 1, 1
   from generate_series(0, $2::int - 1) i`,
);
/** The same 1,000 characters again and again, $3 times: made in no time, however many. */
const LONG_RESULTS = statement(
  'test.long_results',
  `insert into results (job_id, index, status, output, attempts, duration_ms)
   select $1, i, 'succeeded', to_json(repeat(repeat('0123456789', 100), $3::int)), 1, 1
   from generate_series(0, $2::int - 1) i`,
);
const ITEMS = statement(
  'test.bulky_items',
  `insert into items (job_id, upload, index, input) select $1, 1, i, '1' from generate_series(0, $2::int - 1) i`,
);
const END = statement(
  'test.bulky_ended',
  `update jobs set status = 'completed', upload = 1, total = $2, succeeded = $2, ended_at = now() where id = $1`,
);

export interface Bulk {
  total: number;
  /** of each output: 32 characters of which each counts, or 1,000 that are all the same */
  pieces: number;
  kind: 'random' | 'long';
}

export async function fillWithResults(database: PostgresDatabase, jobId: string, bulk: Bulk): Promise<void> {
  const id = decodeId('job', jobId);
  await database.run(ITEMS, [id, bulk.total]);
  await database.run(bulk.kind === 'random' ? RESULTS : LONG_RESULTS, [id, bulk.total, bulk.pieces]);
  await database.run(END, [id, bulk.total]);
}
