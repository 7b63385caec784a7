/** Bytes as they come, cut where no character is split and proven to be UTF-8. */
import { isUtf8 } from 'node:buffer';
import { notStorable } from '../../../domain/batch/item-line';

const NEWLINE = 10;
const BOM = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * A byte order mark at the start is dropped. What stands before a bad byte is still handed on, so that an earlier fault is
 * found first.
 * @throws AppError `not_storable` with the line of the first byte that is no UTF-8
 */
export async function* utf8Blocks(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let held: Buffer = Buffer.alloc(0);
  let line = 1;
  let atStart = true;
  for await (const chunk of chunks) {
    let bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    if (atStart) {
      if (bytes.length < BOM.length && BOM.subarray(0, bytes.length).equals(bytes)) {
        held = bytes;
        continue;
      }
      if (BOM.equals(bytes.subarray(0, BOM.length))) bytes = bytes.subarray(BOM.length);
      atStart = false;
    }
    const whole = bytes.length - incompleteTail(bytes);
    held = bytes.subarray(whole);
    const block = bytes.subarray(0, whole);
    if (!isUtf8(block)) yield* untilBadByte(block, line);
    if (block.length > 0) yield block;
    line += countNewlines(block);
  }
  if (held.length > 0) throw notStorable('bytes that are not UTF-8', { line });
}

function* untilBadByte(block: Buffer, line: number): Generator<Buffer, never, void> {
  const good = block.subarray(0, firstBadByte(block));
  if (good.length > 0) yield good;
  throw notStorable('bytes that are not UTF-8', { line: line + countNewlines(good) });
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let i = 0; i < bytes.length; i++) if (bytes[i] === NEWLINE) count++;
  return count;
}

/** How many bytes a sequence has by its first byte; 0 where no sequence begins so. */
function sequenceLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/** Length of a sequence that begins at the end and goes on in the next chunk. */
function incompleteTail(bytes: Buffer): number {
  for (let length = 1; length <= 3 && length <= bytes.length; length++) {
    const byte = bytes[bytes.length - length] as number;
    if ((byte & 0xc0) === 0x80) continue;
    return sequenceLength(byte) > length ? length : 0;
  }
  return 0;
}

function firstBadByte(bytes: Buffer): number {
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes[at] as number);
    if (length === 0 || at + length > bytes.length || !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
  return at;
}
