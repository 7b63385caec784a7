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
  /** half-open */
  range: { start: number; end: number };
  /** awaited before each page and each item that follows a pause: bounds what waits to be written */
  room(): Promise<void>;
  /** awaited before an item is handed out */
  before?(index: number): Promise<void>;
}

export interface ItemSource {
  items(): AsyncIterable<HandlerItem>;
  /** nothing is left to be read */
  exhausted(): boolean;
  /** items so far; one that was handed out may still not have been begun */
  handedOut(): number;
}

export function createItemSource(options: ItemSourceOptions): ItemSource {
  let exhausted = false;
  let handedOut = 0;
  async function* items(): AsyncGenerator<HandlerItem> {
    const { ref, upload, range } = options;
    let after = range.start - 1;
    for (;;) {
      await options.room();
      const page = await options.chunks.readPending(ref, {
        upload,
        after,
        end: range.end,
        limit: PAGE_ITEMS,
        bytesMax: PAGE_BYTES,
      });
      for (const { index, custom_id, input } of page) {
        await options.before?.(index);
        after = index;
        handedOut++;
        yield {
          index,
          customId: custom_id ?? String(index),
          inputText: input,
          // Stable over attempts and workers, since execution is at least once.
          idempotencyKey: `${ref.jobId}:${index}`,
        };
      }
      if (page.length === 0) break;
    }
    exhausted = true;
  }
  return { items, exhausted: () => exhausted, handedOut: () => handedOut };
}
