/** Items one after the other, without a promise per item: for work that never waits. */
import type { HandlerItem, ItemStream, RunBatch } from '../../domain/handler/contract';
import { itemFeed } from './item-feed';

/** Small enough that a stop is seen, and other work gets its turn, within a few milliseconds. */
const GROUP = 500;

export async function eachItem(
  items: ItemStream | readonly HandlerItem[],
  batch: RunBatch,
  work: (item: HandlerItem) => void,
): Promise<void> {
  const feed = itemFeed(items, batch);
  const size = (): number => (batch.oneByOne ? 1 : GROUP);
  try {
    for (let group = await feed.take(size); group.length > 0; group = await feed.take(size)) {
      for (const item of group) work(item);
    }
  } finally {
    await feed.close();
  }
}
