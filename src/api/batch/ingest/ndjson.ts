/** NDJSON: one JSON value a line; blank lines are skipped but count as lines. */
import type { NewItem } from '../../../domain/batch/item';
import { toItem } from '../../../domain/batch/item-line';
import { exceedsBytes, type ItemLimits, itemTooLarge, malformed, trimBlanks } from './limits';

/** @throws AppError `malformed_ndjson`, `item_too_large`, `invalid_item` or `not_storable`, each with its line */
export async function* parseNdjson(
  blocks: AsyncIterable<Buffer>,
  limits: ItemLimits,
): AsyncGenerator<NewItem[], void, void> {
  let rest = '';
  let line = 1;
  for await (const block of blocks) {
    const text = rest + block.toString('utf8');
    const items: NewItem[] = [];
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      const item = readLine(text.slice(start, end), line, limits);
      if (item !== undefined) items.push(item);
      start = end + 1;
      line++;
    }
    rest = text.slice(start);
    if (exceedsBytes(rest, limits.itemBytesMax)) throw itemTooLarge(line, limits.itemBytesMax);
    if (items.length > 0) yield items;
  }
  const last = readLine(rest, line, limits);
  if (last !== undefined) yield [last];
}

function readLine(raw: string, line: number, limits: ItemLimits): NewItem | undefined {
  if (exceedsBytes(raw, limits.itemBytesMax)) throw itemTooLarge(line, limits.itemBytesMax);
  const text = trimBlanks(raw);
  if (text === '') return undefined;
  return toItem(text, parseLine(text, line), { line });
}

function parseLine(text: string, line: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('malformed_ndjson', line, 'not well-formed JSON');
  }
}
