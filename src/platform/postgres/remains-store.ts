/** What is left of deleted jobs: their items and results, removed page by page. */
import { encodeId } from '../../domain/ids';
import { type Database, type Queryable, type Statement, statement } from './statement';

/** The oldest that nobody else is at. */
export const REMAINS_CLAIM = statement<{ job_id: string }>(
  'remains.claim',
  `select job_id from job_remains order by job_id limit 1 for update skip locked`,
);

/** The one that was worked at before; none: another worker has it right now, or has ended it. */
export const REMAINS_CLAIM_AGAIN = statement<{ job_id: string }>(
  'remains.claim_again',
  `select job_id from job_remains where job_id = $1 for update skip locked`,
);

export const REMAINS_END = statement('remains.end', `delete from job_remains where job_id = $1`);

interface RemovedPage {
  removed: number;
  /** the last that was removed */
  upload: number;
  index: number;
}

/**
 * Goes on after what an earlier page removed ($2, $3): from the start again, each page would wade through all the dead rows
 * before it. Up to $4 rows and $5 bytes, so that each is a short transaction; one row always goes.
 */
export const REMAINS_ITEMS = statement<RemovedPage>(
  'remains.items',
  `with page as materialized (
     select upload, index, sum(bytes) over (order by upload, index rows between unbounded preceding and 1 preceding) as before
     from (
       select upload, index, bytes from items where job_id = $1 and (upload, index) > ($2, $3) order by upload, index limit $4
     ) found
   ), last as materialized (
     select upload, index from page where coalesce(before, 0) < $5 order by upload desc, index desc limit 1
   ), gone as (
     delete from items where job_id = $1 and (upload, index) > ($2, $3) and (upload, index) <= (select upload, index from last)
     returning 1
   )
   select (select count(*)::int from gone) as removed, upload, index from last`,
);

/** As `remains.items`; $2 is not looked at. */
export const REMAINS_RESULTS = statement<RemovedPage>(
  'remains.results',
  `with page as materialized (
     select index, sum(bytes) over (order by index rows between unbounded preceding and 1 preceding) as before
     from (select index, bytes from results where job_id = $1 and index > $3 order by index limit $4) found
   ), last as materialized (
     select index from page where coalesce(before, 0) < $5 order by index desc limit 1
   ), gone as (
     delete from results where job_id = $1 and index > $3 and index <= (select index from last) returning 1
   )
   select (select count(*)::int from gone) as removed, $2::int as upload, index from last`,
);

const ROWS_MAX = 5_000;
const BYTES_MAX = 32 * 1024 * 1024;

/** How far the removal of one job has come. */
export interface Place {
  /** `job_…` */
  jobId: string;
  jobUuid: string;
  table: 'items' | 'results';
  upload: number;
  index: number;
}

export interface RemovedSome {
  /** rows */
  removed: number;
  /** where to go on; undefined: of this job nothing is left */
  next: Place | undefined;
}

export interface RemainsStore {
  /**
   * Removes one page in a transaction of its own.
   * @param from left out: of the oldest deleted job that nobody else is at
   * @returns undefined where there is nothing to do
   */
  removeSome(from: Place | undefined): Promise<RemovedSome | undefined>;
}

export function createRemainsStore(database: Database): RemainsStore {
  return {
    removeSome: (from) =>
      database.transaction(async (tx) => {
        const place = await claim(tx, from);
        return place === undefined ? undefined : removePage(tx, place);
      }),
  };
}

async function claim(tx: Queryable, from: Place | undefined): Promise<Place | undefined> {
  const again = from === undefined ? [] : await tx.run(REMAINS_CLAIM_AGAIN, [from.jobUuid]);
  if (again.length > 0) return from;
  const [oldest] = await tx.run(REMAINS_CLAIM);
  if (oldest === undefined) return undefined;
  const jobUuid = oldest.job_id;
  return { jobId: encodeId('job', jobUuid), jobUuid, table: 'items', upload: -1, index: -1 };
}

const PAGES: Record<Place['table'], Statement<RemovedPage>> = {
  items: REMAINS_ITEMS,
  results: REMAINS_RESULTS,
};

async function removePage(tx: Queryable, place: Place): Promise<RemovedSome> {
  const { jobUuid, table, upload, index } = place;
  const [page] = await tx.run(PAGES[table], [jobUuid, upload, index, ROWS_MAX, BYTES_MAX]);
  if (page !== undefined) {
    return { removed: page.removed, next: { ...place, upload: page.upload, index: page.index } };
  }
  if (table === 'items') return { removed: 0, next: { ...place, table: 'results', upload: -1, index: -1 } };
  await tx.run(REMAINS_END, [jobUuid]);
  return { removed: 0, next: undefined };
}
