/**
 * Every read of results. One statement makes a page of finished NDJSON lines, one row whatever the page: what PostgreSQL
 * joins into one text costs the API a third of what rows by the thousand do (docs/performance.md).
 *
 * `$1` is the job, `$2` the tenant: a job that is not there has no row, one without results has an empty page.
 *
 * Plans must not hang on statistics, which lag behind the job that was just done. Each table gets its bounds by itself: a
 * range that only the join carries over makes the planner read the whole partition. And the join is a full one, which is
 * never done row by row (a result always has its item, so it yields what an outer join would): for a table that nobody has
 * analyzed the planner expects one row, and would compare each of a page with each.
 */
import { type Statement, statement } from './statement';

export interface PageRow {
  /** lines, each with its line break */
  text: string;
  rows: number;
  /** of the rows as `BYTES` counts them; at least $5 where the page was cut */
  bytes: number;
  /** null where there are no rows */
  last: number | null;
}

/** What a line takes, near enough to cut pages by, known without fetching an output. */
const BYTES = `100 + coalesce(r.bytes, 0) + coalesce(octet_length(r.error::text), 0) + coalesce(octet_length(i.custom_id), 0)`;

/**
 * Outputs keep their exact text but, where $6 says so, for line breaks between tokens: the only place where they may stand.
 * They are rare, and looking for them in each output would take a tenth of all the time.
 */
const OUTPUT = `case when output is null then 'null'
  when $6 and (strpos(output::text, E'\\n') > 0 or strpos(output::text, E'\\r') > 0)
  then regexp_replace(output::text, E'[\\r\\n]+', ' ', 'g') else output::text end`;

/** Few and long pieces for what is the same in most lines: the time goes by the number of pieces. */
const HEAD = `'{"index":' || index || ',"custom_id":' || coalesce(to_json(custom_id)::text, '"' || index || '"') ||
  case status when 'succeeded' then ',"status":"succeeded","output":' when 'failed' then ',"status":"failed","output":'
    else ',"status":"cancelled","output":' end`;
const TAIL = `case when error is null and attempts = 1 then ',"error":null,"attempts":1,"duration_ms":'
  else ',"error":' || coalesce(error::text, 'null') || ',"attempts":' || coalesce(attempts, 0) || ',"duration_ms":'
  end || coalesce(duration_ms, 0) || E'}\\n'`;
const LINE = `(${HEAD}) || (${OUTPUT}) || (${TAIL})`;

const COLUMNS = `i.index as item, coalesce(i.index, r.index) as index, i.custom_id, r.status, r.output, r.error, r.attempts,
  r.duration_ms, ${BYTES} as bytes`;

/**
 * Rows go through the window with their outputs as they are stored, a pointer where they are large: only those that stay in
 * the page are fetched. (A cast to text in there would fetch them all, and fill temporary files with them.) They come out of
 * it in order, and are joined as they come.
 */
function page(name: string, tables: string): Statement<PageRow> {
  return statement(
    `result.${name}`,
    `select page.text, page.rows, page.bytes, page.last from jobs j cross join lateral (
       select coalesce(string_agg(${LINE}, ''), '') as text, count(item)::int as rows,
         coalesce(sum(bytes), 0)::float8 as bytes, max(index) as last
       from (
         select * from (
           select *, sum(bytes) over (order by index rows between unbounded preceding and 1 preceding) as before
           from (select ${COLUMNS} from ${tables}) found
         ) page where coalesce(before, 0) < $5 order by index
       ) cut
     ) page where j.id = $1 and j.tenant_id = $2`,
  );
}

const ITEMS = `(select index, custom_id from items
  where job_id = $1 and upload = j.upload and index >= $3 and index < $4) i`;

const results = (more = ''): string =>
  `(select * from results where job_id = $1 and index >= $3 and index < $4 ${more}) r on r.index = i.index`;

/** Not `is not null`: that would make another join of the full one. */
const ATTEMPTED = `coalesce(r.index, -1) >= 0`;

/** $3 <= index < $4, up to $5 bytes; one row always comes. $6: fold line breaks within outputs. */
export const RESULT_PAGES = {
  /** attempted or not */
  all: page('all', `${ITEMS} full join ${results()}`),
  attempted: page('attempted', `${ITEMS} full join ${results()} where ${ATTEMPTED}`),
  succeeded: page(
    'succeeded',
    `${ITEMS} full join ${results(`and status = 'succeeded'`)} where ${ATTEMPTED}`,
  ),
  /** items without a result */
  unattempted: page('unattempted', `${ITEMS} full join ${results()} where not (${ATTEMPTED})`),
  /** The first $7 that there are; `limit 1` keeps their items look-ups, however many rows the planner expects. */
  failed: page(
    'failed',
    `(select * from results where job_id = $1 and index >= $3 and index < $4 and status = 'failed'
       order by index limit $7) r
     cross join lateral (select index, custom_id from items
       where job_id = $1 and upload = j.upload and index = r.index limit 1) i`,
  ),
} as const;
