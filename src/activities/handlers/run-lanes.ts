/** Groups of items side by side, as many at once as the batch may have in flight right now. */
import type { HandlerItem, ItemStream, RunBatch } from '../../domain/handler/contract';
import { itemFeed } from './item-feed';

export interface Lanes {
  batch: RunBatch;
  groupSize(): number;
  /** groups at once; asked again whenever the batch's concurrency changes */
  lanes(): number;
}

/** Groups of items, so many at once; each is pulled when a lane is free. */
export async function runLanes(
  items: ItemStream | readonly HandlerItem[],
  { batch, groupSize, lanes }: Lanes,
  work: (group: HandlerItem[]) => Promise<void>,
): Promise<void> {
  const feed = itemFeed(items, batch);
  // All lanes end before an error is passed on: no item is left running unseen.
  const ends: Promise<{ error: unknown } | undefined>[] = [];
  let active = 0;
  let dry = false;
  const lane = async (): Promise<{ error: unknown } | undefined> => {
    try {
      for (let surplus = false; !dry && !surplus; ) {
        const group = await feed.take(() => {
          // Decided when it is its turn: it may have waited through a change.
          surplus = active > Math.max(1, lanes());
          return surplus ? 0 : groupSize();
        });
        if (group.length > 0) await work(group);
        else if (!surplus) dry = true;
      }
      return undefined;
    } catch (error) {
      dry = true;
      return { error };
    } finally {
      active--;
    }
  };
  const widen = (): void => {
    for (; !dry && active < Math.max(1, lanes()); active++) ends.push(lane());
  };
  const unwatch = batch.concurrency.onChange(widen);
  widen();
  let failed: { error: unknown } | undefined;
  for (let n = 0; n < ends.length; n++) failed ??= await ends[n];
  unwatch();
  await feed.close();
  if (failed !== undefined) throw failed.error;
}
