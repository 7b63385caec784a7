/** What an upload may be, and the errors that every format shares. */
import type { NewItem } from '../../../domain/batch/item';
import { AppError } from '../../../domain/errors';

export interface ItemLimits {
  itemBytesMax: number;
}

/** Turns verified UTF-8 bytes into items, in batches of what one block brought. */
export type ItemParser = (
  blocks: AsyncIterable<Buffer>,
  limits: ItemLimits,
) => AsyncGenerator<NewItem[], void, void>;

export function malformed(
  code: 'malformed_json' | 'malformed_ndjson' | 'malformed_csv',
  line: number,
  fault: string,
): AppError {
  return new AppError(code, `Line ${line}: ${fault}.`, { errors: [{ line, detail: fault }] });
}

export function itemTooLarge(line: number, bytesMax: number): AppError {
  const detail = `is larger than ${bytesMax} bytes`;
  return new AppError('item_too_large', `The item on line ${line} ${detail}.`, {
    errors: [{ line, detail }],
  });
}

/** Whether `text` has more than `bytesMax` bytes of UTF-8; seldom has to count them. */
export function exceedsBytes(text: string, bytesMax: number): boolean {
  return text.length > bytesMax || (text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax);
}

/** Without JSON's white space at both ends. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

export function isBlank(code: number): boolean {
  return code === 32 || code === 13 || code === 10 || code === 9;
}
