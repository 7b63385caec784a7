/** What a test reads past the API, to see what was written rather than what is shown. */
import { decodeId } from '../../src/domain/ids';
import { withClient } from '../../tools/servers/postgres';

/** A job's result rows by index, each with the transaction that wrote it: one that was written again differs. */
export async function resultRows(databaseUrl: string, jobId: string): Promise<Map<number, string>> {
  const rows = await rowsOf<{ index: number; row: string }>(
    databaseUrl,
    jobId,
    `select index, json_build_array(xmin::text, ctid, r)::text as row from results r where job_id = $1 order by index`,
  );
  return new Map(rows.map(({ index, row }) => [index, row]));
}

/** When the sweep last made sure that the job's workflow is there. */
export async function lastLookedAfter(databaseUrl: string, jobId: string): Promise<Date> {
  const text = `select coalesce(checked_at, queued_at) as at from jobs where id = $1`;
  const [row] = await rowsOf<{ at: Date }>(databaseUrl, jobId, text);
  if (row === undefined) throw new Error(`no job ${jobId}`);
  return row.at;
}

/** Items of all of a job's uploads, also of one that came to nothing. */
export async function itemCount(databaseUrl: string, jobId: string): Promise<number> {
  const text = `select count(*)::int as n from items where job_id = $1`;
  const [row] = await rowsOf<{ n: number }>(databaseUrl, jobId, text);
  return row?.n ?? 0;
}

/** Whether rows are streamed into the database right now. */
export async function isCopying({ databaseUrl }: { databaseUrl: string }): Promise<boolean> {
  return withClient(databaseUrl, async (client) => {
    const { rowCount } = await client.query(
      'select from pg_stat_progress_copy where datname = current_database() and tuples_processed > 0',
    );
    return rowCount === 1;
  });
}

/**
 * From now on the database refuses to write a job's end: the job stays in `finalizing`, which else lasts milliseconds.
 * @returns the end of it
 */
export async function refuseEnds(databaseUrl: string): Promise<() => Promise<void>> {
  const run = (sql: string): Promise<void> =>
    withClient(databaseUrl, async (client) => void (await client.query(sql)));
  await run(`
    create function refuse_end() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
    create trigger refuse_end before update on jobs for each row
      when (old.status = 'finalizing' and new.ended_at is not null) execute function refuse_end()`);
  return () => run('drop trigger refuse_end on jobs; drop function refuse_end()');
}

async function rowsOf<Row extends object>(databaseUrl: string, jobId: string, text: string): Promise<Row[]> {
  return withClient(
    databaseUrl,
    async (client) => (await client.query<Row>(text, [decodeId('job', jobId)])).rows,
  );
}
