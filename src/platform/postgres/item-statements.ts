/**
 * Every read of items. `$1` is the job, `$2` the tenant: another tenant's job has no rows. The job's id stands on each
 * partitioned table by itself, so that its partition alone is looked at; so do the bounds.
 */
import type { ItemRow } from '../../domain/batch/item';
import { type Statement, statement } from './statement';

/** Items looked at by one statement that seeks among items of other statuses; bounds its time, whatever it finds. */
export const SEEK_ITEMS = 20_000;

const FINAL = `('completed', 'completed_with_errors', 'failed', 'cancelled', 'expired')`;

/** `walked`: rows that were there before the page was cut to its bytes. */
export type Walked<Row> = Row & { walked: number };

const NAME = `coalesce(i.custom_id, i.index::text) as custom_id`;
const ATTEMPTS = `coalesce(r.attempts, 0) as attempts`;

/** @param of the result's status, null where there is no result */
const statusOf = (of: string): string =>
  `coalesce(${of}, case when j.status in ${FINAL} then 'cancelled' else 'pending' end) as status`;

/**
 * $3 <= index < $4, up to $5 rows and $6 bytes; one row always comes. Rows go through the windows with their inputs as they
 * are stored, a pointer where they are large: only those that stay in the page are fetched. (A cast to text in there would
 * fetch them all, and fill temporary files with them.) Of a result comes what an operator looks for, not its output.
 */
function walk(kind: string, tables: string): Statement<Walked<ItemRow>> {
  return statement(
    `item.${kind}`,
    `select index, custom_id, status, attempts, error::text as error, input::text as input, walked from (
       select *, count(*) over ()::int as walked,
         sum(bytes) over (order by index rows between unbounded preceding and 1 preceding) as before
       from (
         select index, custom_id, ${statusOf('pair.status')}, attempts, pair.error, input, bytes
         from jobs j cross join lateral (
           select i.index, ${NAME}, r.status, ${ATTEMPTS}, r.error, i.input, i.bytes from ${tables}
         ) pair where j.id = $1 and j.tenant_id = $2 order by index limit $5
       ) found
     ) page where coalesce(before, 0) < $6 order by index`,
  );
}

const IN_RANGE = `job_id = $1 and index >= $3 and index < $4`;

/** Why it is a full join is told in result-statements.ts. */
const BOTH = `(select index, custom_id, input, bytes from items where ${IN_RANGE} and upload = j.upload) i
  full join (select index, status, attempts, error from results where ${IN_RANGE}) r on r.index = i.index`;

/** `limit 1` keeps the items look-ups, however many rows the planner expects. */
const ofStatus = (status: 'failed' | 'succeeded'): string =>
  `(select index, status, attempts, error from results where ${IN_RANGE} and status = '${status}' order by index limit $5) r
   cross join lateral (select index, custom_id, input, bytes from items
     where job_id = $1 and upload = j.upload and index = r.index limit 1) i`;

export const ITEM_WALKS = {
  /** attempted or not */
  all: walk('all', BOTH),
  failed: walk('failed', ofStatus('failed')),
  succeeded: walk('succeeded', ofStatus('succeeded')),
  /** items without a result */
  unattempted: walk('unattempted', `${BOTH} where coalesce(r.index, -1) < 0`),
} as const;

/** $3 the name; $4 the index that it reads as, or null */
export const ITEM_BY_CUSTOM_ID = statement<ItemRow>(
  'item.by_custom_id',
  `select i.index, ${NAME}, ${statusOf('r.status')}, ${ATTEMPTS}, r.error::text as error, i.input::text as input
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
   from items named cross join lateral (
     select index from items where job_id = $1 and upload = $2 and custom_id is null
       and index = case when named.custom_id ~ '^(0|[1-9][0-9]{0,9})$' then named.custom_id::bigint end limit 1
   ) unnamed
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
