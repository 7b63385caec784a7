/** The items of a chunk that have no result yet, read in pages; the pages of one attempt never overlap. */
import type { HandlerItem } from '../../domain/handler/contract';
import type { ChunkRef } from '../../domain/batch/run';
import type { ChunkStore } from './ports';

const PAGE_ITEMS = 1_000;
const PAGE_BYTES = 8 * 1_048_576;

export interface ItemSourceOptions {
  chunks: Pick<ChunkStore, 'readPending'>;
  ref: ChunkRef;
  upload: number;
  /** waiting items are read when they are due by then */
  due: Date;
  /** half-open */
  range: { start: number; end: number };
  /** whoever takes the outcomes: no item is handed out while it is full, which bounds what waits to be written */
  writer: { readonly isFull: boolean; room(): Promise<void> };
  /** false: hand out nothing more */
  mayStart(): boolean;
  gate: { readonly isOpen: boolean; pass(): Promise<boolean> };
  onHandOut(index: number): void;
  /** awaited before an item is handed out */
  before?(index: number): Promise<void>;
}

export interface ItemSource {
  items(): AsyncIterable<HandlerItem>;
  /** nothing is left to be read */
  exhausted(): boolean;
}

export function createItemSource(options: ItemSourceOptions): ItemSource {
  let exhausted = false;
  async function* items(): AsyncGenerator<HandlerItem> {
    const { ref, upload, range, writer } = options;
    let after = range.start - 1;
    while (options.mayStart()) {
      const page = await options.chunks.readPending(ref, {
        upload,
        after,
        end: range.end,
        limit: PAGE_ITEMS,
        bytesMax: PAGE_BYTES,
        due: options.due,
      });
      for (const { index, custom_id, input, attempts } of page) {
        // No promise per item: almost always there is room.
        if (writer.isFull) await writer.room();
        if (!options.gate.isOpen && !(await options.gate.pass())) return;
        if (!options.mayStart()) return;
        await options.before?.(index);
        after = index;
        options.onHandOut(index);
        yield {
          index,
          customId: custom_id ?? String(index),
          inputText: input,
          attempts,
          // Stable over attempts and workers, since execution is at least once.
          idempotencyKey: `${ref.jobId}:${index}`,
        };
      }
      if (page.length === 0) {
        exhausted = true;
        return;
      }
    }
  }
  return { items, exhausted: () => exhausted };
}
