/** One JSON array as an upload: its elements are the items, and may span lines. */
import { parse as parseTolerantly, printParseErrorCode, type ParseError } from 'jsonc-parser';
import type { NewItem } from '../../../domain/batch/item';
import { invalidItem, toItem } from '../../../domain/batch/item-line';
import { ElementSplitter, type Element } from './json-splitter';
import { type ItemLimits, malformed } from './limits';

/** @throws AppError `malformed_json`, `item_too_large`, `invalid_item` or `not_storable`, each with its line */
export async function* parseJsonArray(
  blocks: AsyncIterable<Buffer>,
  limits: ItemLimits,
): AsyncGenerator<NewItem[], void, void> {
  const splitter = new ElementSplitter(limits.itemBytesMax);
  for await (const block of blocks) {
    const items: NewItem[] = [];
    splitter.feed(block.toString('utf8'), (element) =>
      items.push(toItem(element.text, parseElement(element), element)),
    );
    if (items.length > 0) yield items;
  }
  const end = splitter.end();
  if (end.kind === 'unclosed') throw malformed('malformed_json', end.line, 'the array is not closed');
  if (end.kind === 'empty') throw malformed('malformed_json', 1, 'the body is empty');
  if (end.kind === 'no_array') {
    parseElement(end.element);
    throw invalidItem('the body must be one JSON array', end.element);
  }
}

function parseElement(element: Element): unknown {
  try {
    return JSON.parse(element.text);
  } catch {
    const fault = locateFault(element);
    throw malformed('malformed_json', fault.line, fault.detail);
  }
}

/** Only for text that JSON.parse refused: the tolerant parser knows where, and what was expected. */
function locateFault(element: Element): { line: number; detail: string } {
  const first = firstFault(element.text);
  if (first === undefined) return { line: element.line, detail: 'not well-formed JSON' };
  const before = element.text.slice(0, first.offset);
  const expected = printParseErrorCode(first.error)
    .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toLowerCase();
  return { line: element.line + before.split('\n').length - 1, detail: `not well-formed JSON (${expected})` };
}

function firstFault(text: string): ParseError | undefined {
  const faults: ParseError[] = [];
  try {
    parseTolerantly(text, faults, { disallowComments: true, allowTrailingComma: false });
  } catch {
    return undefined; // it recurses, so that very deep nesting ends in a RangeError
  }
  return faults[0];
}
