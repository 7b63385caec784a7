/** The items of a chunk that have no result yet, read in pages; the pages of one attempt never overlap. */
import type { HandlerItem } from '../../domain/handler/contract';
import type { ChunkRef, PendingItem } from '../../domain/batch/run';
import type { ChunkStore } from './ports';

const PAGE_ITEMS = 2_500;
const PAGE_BYTES = 8 * 1_048_576;

export interface ItemSourceOptions {
  chunks: Pick<ChunkStore, 'readPending'>;
  ref: ChunkRef;
  upload: number;
  /** nobody has worked on the chunk before */
  fresh: boolean;
  /** waiting items are read when they are due by then */
  due: Date;
  /** half-open */
  range: { start: number; end: number };
  /** whoever takes the outcomes: no item is handed out while it is full, which bounds what waits to be written */
  writer: { readonly isFull: boolean; room(): Promise<void> };
  /** false: hand out nothing more */
  mayStart(): boolean;
  gate: { readonly isOpen: boolean; readonly isReady: boolean; pass(): Promise<boolean> };
  onHandOut(index: number): void;
  /** awaited before an item is handed out */
  before?(index: number): Promise<void>;
}

export interface ItemSource extends AsyncIterable<HandlerItem> {
  /**
   * Up to `count` items; none: nothing is left, or none may start. Fewer, where the next would have to wait. One call at a time.
   */
  take(count: number): Promise<HandlerItem[]>;
  /** nothing is left to be read */
  exhausted(): boolean;
}

export function createItemSource(options: ItemSourceOptions): ItemSource {
  const { writer, gate } = options;
  let page: readonly PendingItem[] = [];
  let at = 0;
  let after = options.range.start - 1;
  let exhausted = false;

  async function turnPage(): Promise<void> {
    const { ref, upload, fresh, due, range } = options;
    const bounds = { upload, after, end: range.end, limit: PAGE_ITEMS, bytesMax: PAGE_BYTES, due, fresh };
    page = await options.chunks.readPending(ref, bounds);
    at = 0;
    if (page.length === 0) exhausted = true;
  }

  /** False: no item may be handed out, or not without a wait that those in hand should be spared. */
  async function mayHandOut(inHand: boolean): Promise<boolean> {
    if (writer.isFull) await writer.room();
    if (!gate.isOpen && ((inHand && !gate.isReady) || !(await gate.pass()))) return false;
    return options.mayStart();
  }

  async function take(count: number): Promise<HandlerItem[]> {
    const taken: HandlerItem[] = [];
    while (taken.length < count && !exhausted && options.mayStart()) {
      if (at === page.length) await turnPage();
      if (exhausted) break;
      // No promise per item: almost always there is room, and nothing to wait for.
      if (!(gate.isOpen && !writer.isFull) && !(await mayHandOut(taken.length > 0))) break;
      const item = page[at++] as PendingItem;
      if (options.before !== undefined) await options.before(item.index);
      after = item.index;
      options.onHandOut(item.index);
      taken.push(toHandlerItem(options.ref, item));
    }
    return taken;
  }

  async function* each(): AsyncGenerator<HandlerItem> {
    for (let [item] = await take(1); item !== undefined; [item] = await take(1)) yield item;
  }

  return { take, exhausted: () => exhausted, [Symbol.asyncIterator]: each };
}

function toHandlerItem(ref: ChunkRef, { index, custom_id, input, attempts }: PendingItem): HandlerItem {
  return {
    index,
    customId: custom_id ?? String(index),
    inputText: input,
    attempts,
    // Stable over attempts and workers, since execution is at least once.
    idempotencyKey: `${ref.jobId}:${index}`,
  };
}
