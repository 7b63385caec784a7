/** Items out, page by page: each page is bounded by rows, by bytes and by the items it looks at. */
import { indexOfText } from '../../domain/batch/custom-id';
import type { ItemRow, ItemStatus } from '../../domain/batch/item';
import { decodeId } from '../../domain/ids';
import { ITEM_BY_CUSTOM_ID, ITEM_WALK_STATE, ITEM_WALKS, SEEK_ITEMS, type Walked } from './item-statements';
import type { Queryable, Statement } from './statement';

interface Ref {
  tenantId: string;
  jobId: string;
}

interface ItemQuery extends Ref {
  status?: ItemStatus | undefined;
  customId?: string | undefined;
  from: number;
  limit: number;
}

interface Page<Row> {
  rows: Row[];
  next: number | null;
}

export interface ItemReads {
  page(query: ItemQuery): Promise<Page<ItemRow>>;
}

/** Of one page's inputs; so many large ones don't fill the memory. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;

export function createItemReads(db: Queryable): ItemReads {
  return { page: (query) => itemPage(db, query) };
}

interface Step {
  ref: Ref;
  from: number;
  /** exclusive; items from here on are not looked at */
  stop: number;
  limit: number;
  total: number;
}

async function walk(
  db: Queryable,
  stmt: Statement<Walked<ItemRow>>,
  { ref, from, stop, limit, total }: Step,
): Promise<Page<ItemRow>> {
  const values = [...keyOf(ref), from, stop, limit, PAGE_BYTES_MAX];
  const rows = await db.run(stmt, values);
  const last = rows.at(-1);
  const walked = last?.walked ?? 0;
  const cut = rows.length < walked || walked === limit;
  const next = cut && last !== undefined ? last.index + 1 : stop;
  return { rows, next: next < total ? next : null };
}

function keyOf(ref: Ref): [string, string] {
  return [decodeId('job', ref.jobId), decodeId('tenant', ref.tenantId)];
}

async function itemPage(db: Queryable, query: ItemQuery): Promise<Page<ItemRow>> {
  if (query.customId !== undefined) return itemsNamed(db, query, query.customId);
  const [state] = await db.run(ITEM_WALK_STATE, keyOf(query));
  if (state === undefined) return { rows: [], next: null };
  const { status, from, limit } = query;
  const step = { ref: query, from, limit, stop: state.total, total: state.total };
  if (status === undefined) return walk(db, ITEM_WALKS.all, { ...step, stop: from + limit });
  if (status === 'failed') return walk(db, ITEM_WALKS.failed, step);
  if (status === 'succeeded') return seek(db, ITEM_WALKS.succeeded, step);
  const possible = state.ended ? 'cancelled' : 'pending';
  return status === possible ? seek(db, ITEM_WALKS.unattempted, step) : { rows: [], next: null };
}

async function itemsNamed(db: Queryable, query: ItemQuery, customId: string): Promise<Page<ItemRow>> {
  const values = [...keyOf(query), customId, indexOfText(customId) ?? null];
  const rows = await db.run(ITEM_BY_CUSTOM_ID, values);
  const { status, from } = query;
  const fits = (row: ItemRow): boolean => row.index >= from && (status ?? row.status) === row.status;
  return { rows: rows.filter(fits), next: null };
}

/** Looks from window to window until something is found, so that no page but the last is empty. */
async function seek(db: Queryable, stmt: Statement<Walked<ItemRow>>, step: Step): Promise<Page<ItemRow>> {
  let page: Page<ItemRow> = { rows: [], next: step.from };
  while (page.rows.length === 0 && page.next !== null) {
    page = await walk(db, stmt, { ...step, from: page.next, stop: page.next + SEEK_ITEMS });
  }
  return page;
}
