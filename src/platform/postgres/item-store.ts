/** Items in, items and results out. Fulfils `ItemStore`, `InlineItemStore` and `ResultReads` of src/api/batch. */
import type { PoolClient } from 'pg';
import type { NewItem } from '../../domain/batch/item';
import type { Job } from '../../domain/batch/job';
import { decodeId } from '../../domain/ids';
import { type Copied, copyItems, duplicate } from './copy-items';
import { createItemReads, type ItemReads } from './item-reads';
import { ITEM_CLASH, ITEMS_INSERT } from './item-statements';
import { onConnection, type PostgresDatabase, rethrow } from './pool';
import { createResultReads, type ResultReads } from './result-reads';
import type { Queryable } from './statement';

interface Ref {
  tenantId: string;
  jobId: string;
}

interface UploadBook {
  openUpload(ref: Ref): Promise<number>;
  finishUpload(upload: Ref & { upload: number; total: number }): Promise<Job>;
}

export interface ItemStoreDeps {
  /** for reads and for opening uploads */
  db: Queryable;
  /** a small pool of its own: a slow upload holds its connection for as long as it takes */
  uploads: Pick<PostgresDatabase, 'connect'>;
  jobsOn(queryable: Queryable): UploadBook;
  /** whatever the plan */
  itemsMax: number;
}

export interface ItemStore extends ItemReads, ResultReads {
  upload(ref: Ref, items: AsyncIterable<readonly NewItem[]>, planMax: number | null): Promise<Job>;
}

/** The column's type. */
export const ITEM_INDEX_MAX = 2_147_483_647;

export function createItemStore(deps: ItemStoreDeps): ItemStore {
  return {
    upload: (ref, items, planMax) =>
      upload({ ...deps, itemsMax: Math.min(deps.itemsMax, planMax ?? deps.itemsMax) }, ref, items),
    ...createItemReads(deps.db),
    ...createResultReads(deps.db),
  };
}

export interface InlineItemStore {
  insert(upload: Ref & { upload: number }, items: readonly NewItem[]): Promise<void>;
}

export function createInlineItemStore(queryable: Queryable): InlineItemStore {
  return {
    async insert({ jobId, upload }, items) {
      const names = items.map((item) => item.customId);
      const inputs = items.map((item) => item.input);
      await queryable.run(ITEMS_INSERT, [decodeId('job', jobId), upload, names, inputs]);
    },
  };
}

async function upload(deps: ItemStoreDeps, ref: Ref, items: AsyncIterable<readonly NewItem[]>): Promise<Job> {
  const number = await deps.jobsOn(deps.db).openUpload(ref);
  const client = await deps.uploads.connect();
  let failed = true;
  try {
    // An upload takes as long as its client does; its rate is watched where it comes in.
    await client.query('begin; set local statement_timeout = 0');
    const target = { jobUuid: decodeId('job', ref.jobId), upload: number, itemsMax: deps.itemsMax };
    const copied = await copyItems(client, target, items);
    const job = await settle(deps, client, { ref, number, copied });
    await client.query('commit');
    failed = false;
    return job;
  } catch (error) {
    return rethrow(error);
  } finally {
    // What state a failed COPY left the connection in is not worth finding out: PostgreSQL rolls back when it is gone.
    client.release(failed);
  }
}

async function settle(
  deps: ItemStoreDeps,
  client: PoolClient,
  { ref, number, copied }: { ref: Ref; number: number; copied: Copied },
): Promise<Job> {
  const tx = onConnection(client);
  if (copied.mayClash) {
    const [clash] = await tx.run(ITEM_CLASH, [decodeId('job', ref.jobId), number]);
    if (clash !== undefined) throw duplicate(clash.index, copied.lines);
  }
  return deps.jobsOn(tx).finishUpload({ ...ref, upload: number, total: copied.total });
}
