/** Items that stand in the body of the job's creation, by their exact text. */
import { ITEM_BYTES_MAX, type NewItem } from '../../domain/batch/item';
import { memberText, toItem } from '../../domain/batch/item-line';
import { AppError } from '../../domain/errors';
import { ElementSplitter } from './ingest/json-splitter';

/**
 * @param body well-formed JSON text of an object with an array `items`
 * @throws AppError `invalid_item`, `not_storable` or `duplicate_custom_id`, with a pointer
 */
export function readInlineItems(body: string): NewItem[] {
  const items: NewItem[] = [];
  const splitter = new ElementSplitter(ITEM_BYTES_MAX);
  splitter.feed(memberText(body, 'items'), ({ text }) => {
    items.push(toItem(text, JSON.parse(text), { pointer: pointerTo(items.length) }));
  });
  refuseDuplicates(items);
  return items;
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
