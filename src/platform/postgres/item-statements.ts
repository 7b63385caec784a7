/**
 * Every read of items and results. `$1` is the job, `$2` the tenant: another tenant's job has no rows. The job's id stands
 * on each partitioned table by itself, so that its partition alone is looked at.
 */
import type { ItemRow, ResultRow } from '../../domain/batch/item';
import { type Statement, statement } from './statement';

/** Items looked at by one statement that seeks among items of other statuses; bounds its time, whatever it finds. */
export const SEEK_ITEMS = 20_000;

const FINAL = `('completed', 'completed_with_errors', 'failed', 'cancelled', 'expired')`;

const ITEM_COLUMNS = `
  i.index, coalesce(i.custom_id, i.index::text) as custom_id, i.input::text as input,
  coalesce(r.status, case when j.status in ${FINAL} then 'cancelled' else 'pending' end) as status`;

const RESULT_COLUMNS = `
  i.index, coalesce(i.custom_id, i.index::text) as custom_id, coalesce(r.status, 'cancelled') as status,
  r.output::text as output, r.error::text as error, coalesce(r.attempts, 0) as attempts,
  coalesce(r.duration_ms, 0) as duration_ms`;

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

function walks<Row>(name: string, columns: string, bytes: string): Walks<Row> {
  const walk = (kind: string, tables: string, where: string): Statement<Walked<Row>> =>
    statement(
      `${name}.${kind}`,
      `select * from (
         select *, count(*) over ()::int as walked,
           sum(octet_length(${bytes})) over (order by index rows between unbounded preceding and 1 preceding) as before
         from (
           select ${columns} from jobs j ${tables}
           where j.id = $1 and j.tenant_id = $2 and ${where} limit $5
         ) found
       ) page where coalesce(before, 0) < $6 order by index`,
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

export const ITEM_WALKS = walks<ItemRow>('item', ITEM_COLUMNS, 'input');
export const RESULT_WALKS = walks<ResultRow>('result', RESULT_COLUMNS, 'output');

/** $3 the name; $4 the index that it reads as, or null */
export const ITEM_BY_CUSTOM_ID = statement<ItemRow>(
  'item.by_custom_id',
  `select ${ITEM_COLUMNS} from jobs j join lateral (
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
