/**
 * Every read of items and results. `$1` is the job, `$2` the tenant: another tenant's job has no rows. The job's id stands
 * on each partitioned table by itself, so that its partition alone is looked at.
 */
import type { ItemRow, ResultRow } from '../../domain/batch/item';
import { type Statement, statement } from './statement';

/** Items looked at by one statement that seeks among items of other statuses; bounds its time, whatever it finds. */
export const SEEK_ITEMS = 20_000;

const FINAL = `('completed', 'completed_with_errors', 'failed', 'cancelled', 'expired')`;

const ITEM_STATUS = `coalesce(r.status, case when j.status in ${FINAL} then 'cancelled' else 'pending' end) as status`;

const ITEMS = `join items i on i.job_id = $1 and i.upload = j.upload`;
const ITEMS_AND_RESULTS = `${ITEMS} left join results r on r.job_id = $1 and r.index = i.index`;
const RESULTS_AND_ITEMS = `join results r on r.job_id = $1 ${ITEMS} and i.index = r.index`;

/** `walked`: rows that were there before the page was cut to its bytes. */
export type Walked<Row> = Row & { walked: number };

/** The ways to walk, over items and over results: $3 <= index < $4, up to $5 rows and $6 bytes; one row always comes. */
interface Walks<Row> {
  /** attempted or not */
  all: Statement<Walked<Row>>;
  /** whatever has a result */
  attempted: Statement<Walked<Row>>;
  failed: Statement<Walked<Row>>;
  succeeded: Statement<Walked<Row>>;
  /** items without a result */
  unattempted: Statement<Walked<Row>>;
}

/** What a walk reads of each row, and what it fetches of those that stay in the page. */
interface Read {
  /** narrow, of `i` and `r` */
  columns: string;
  /** as `columns` has it */
  bytes: string;
  /** of the one row that is `page.upload`, `page.index` */
  texts: string;
  /** what of both is answered, besides index and custom_id */
  shown: string;
}

/**
 * Texts are fetched only once the page is cut: rows that carry them, up to 1 MB each, through the windows fill temporary
 * files with what is then thrown away. `limit 1` keeps that a look-up per row, whatever the planner expects.
 */
function walks<Row>(name: string, { columns, bytes, texts, shown }: Read): Walks<Row> {
  const walk = (kind: string, tables: string, where: string): Statement<Walked<Row>> =>
    statement(
      `${name}.${kind}`,
      `select page.index, custom_id, ${shown}, walked from (
         select *, count(*) over ()::int as walked,
           sum(bytes) over (order by index rows between unbounded preceding and 1 preceding) as before
         from (
           select i.index, j.upload, coalesce(i.custom_id, i.index::text) as custom_id, ${columns}, ${bytes} as bytes
           from jobs j ${tables}
           where j.id = $1 and j.tenant_id = $2 and ${where} limit $5
         ) found
       ) page left join lateral (${texts} limit 1) texts on true
       where coalesce(before, 0) < $6 order by page.index`,
    );
  const byItem = `i.index >= $3 and i.index < $4`;
  const byResult = `r.index >= $3 and r.index < $4`;
  return {
    all: walk('all', ITEMS_AND_RESULTS, `${byItem} order by i.index`),
    attempted: walk('attempted', RESULTS_AND_ITEMS, `${byResult} order by r.index`),
    failed: walk('failed', RESULTS_AND_ITEMS, `${byResult} and r.status = 'failed' order by r.index`),
    succeeded: walk(
      'succeeded',
      RESULTS_AND_ITEMS,
      `${byResult} and r.status = 'succeeded' order by r.index`,
    ),
    unattempted: walk('unattempted', ITEMS_AND_RESULTS, `${byItem} and r.index is null order by i.index`),
  };
}

export const ITEM_WALKS = walks<ItemRow>('item', {
  columns: ITEM_STATUS,
  bytes: 'i.bytes',
  texts: `select input::text as input from items where job_id = $1 and upload = page.upload and index = page.index`,
  shown: 'status, input',
});

export const RESULT_WALKS = walks<ResultRow>('result', {
  columns: `coalesce(r.status, 'cancelled') as status, coalesce(r.attempts, 0) as attempts,
    coalesce(r.duration_ms, 0) as duration_ms`,
  bytes: 'coalesce(r.bytes, 0)',
  texts: `select output::text as output, error::text as error from results where job_id = $1 and index = page.index`,
  shown: 'status, output, error, attempts, duration_ms',
});

/** $3 the name; $4 the index that it reads as, or null */
export const ITEM_BY_CUSTOM_ID = statement<ItemRow>(
  'item.by_custom_id',
  `select i.index, coalesce(i.custom_id, i.index::text) as custom_id, i.input::text as input, ${ITEM_STATUS}
   from jobs j join lateral (
     select index, custom_id, input from items where job_id = $1 and upload = j.upload and custom_id = $3
     union all
     select index, custom_id, input from items where job_id = $1 and upload = j.upload and index = $4
       and custom_id is null
   ) i on true left join results r on r.job_id = $1 and r.index = i.index
   where j.id = $1 and j.tenant_id = $2`,
);

export const ITEM_WALK_STATE = statement<{ total: number; ended: boolean }>(
  'item.walk_state',
  `select j.total, j.status in ${FINAL} as ended from jobs j where j.id = $1 and j.tenant_id = $2`,
);

/** An item that goes by its index, and another that has that index for its name: the later of the two. */
export const ITEM_CLASH = statement<{ index: number }>(
  'item.clash',
  `select greatest(named.index, unnamed.index) as index
   from items named join items unnamed on unnamed.job_id = $1 and unnamed.upload = $2 and unnamed.custom_id is null
     and unnamed.index = case when named.custom_id ~ '^(0|[1-9][0-9]{0,9})$' then named.custom_id::bigint end
   where named.job_id = $1 and named.upload = $2 and named.custom_id is not null
   order by 1 limit 1`,
);

/** $3 names, $4 inputs as JSON text, in the order of the items */
export const ITEMS_INSERT = statement(
  'item.insert',
  `insert into items (job_id, upload, index, custom_id, input)
   select $1, $2, place - 1, custom_id, input::json
   from unnest($3::text[], $4::text[]) with ordinality as given (custom_id, input, place)`,
);
