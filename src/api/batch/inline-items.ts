/** Items that stand in the body of the job's creation, by their exact text. */
import { ITEM_BYTES_MAX, type NewItem } from '../../domain/batch/item';
import { memberText, toItem } from '../../domain/batch/item-line';
import { AppError } from '../../domain/errors';
import type { Plan } from '../../domain/key/plans';
import { ElementSplitter } from './ingest/json-splitter';

/**
 * @param body well-formed JSON text of an object with an array `items`
 * @param plan it bounds their number
 * @throws AppError `too_many_items`, `invalid_item`, `not_storable` or `duplicate_custom_id`, with a pointer
 */
export function readInlineItems(body: Uint8Array, { limits }: Pick<Plan, 'limits'>): NewItem[] {
  const items: NewItem[] = [];
  const itemsMax = limits.itemsPerJob ?? Number.POSITIVE_INFINITY;
  const splitter = new ElementSplitter(ITEM_BYTES_MAX);
  splitter.feed(memberText(Buffer.from(body).toString('utf8'), 'items'), ({ text }) => {
    if (items.length >= itemsMax) throw tooManyItems(itemsMax);
    items.push(toItem(text, JSON.parse(text), { pointer: pointerTo(items.length) }));
  });
  refuseDuplicates(items);
  return items;
}

function tooManyItems(itemsMax: number): AppError {
  const detail = `A job has at most ${itemsMax} items.`;
  return new AppError('too_many_items', detail, { errors: [{ pointer: pointerTo(itemsMax), detail }] });
}

function refuseDuplicates(items: readonly NewItem[]): void {
  const seen = new Set<string>();
  for (const [index, item] of items.entries()) {
    const name = item.customId ?? String(index);
    if (seen.has(name)) {
      const pointer = pointerTo(index);
      const detail = `the custom_id ${JSON.stringify(name)} is that of an earlier item`;
      throw new AppError('duplicate_custom_id', `${pointer}: ${detail}.`, { errors: [{ pointer, detail }] });
    }
    seen.add(name);
  }
}

function pointerTo(index: number): string {
  return `/items/${index}`;
}
