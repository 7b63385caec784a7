import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Item {
  readonly n: number;
  readonly text: string;
}

/** Bytes of an item's JSON. */
export const itemBytes = 100;
const linesPerWrite = 1_000;

/** Item `n`: an object whose JSON has 100 bytes, and that no other item equals. */
export function itemOf(n: number): Item {
  const frame = JSON.stringify({ n, text: '' }).length;
  return { n, text: 'abcdefghijklmnopqrstuvwxyz'.repeat(4).slice(0, itemBytes - frame) };
}

export function itemsOf(count: number): Item[] {
  return Array.from({ length: count }, (_, n) => itemOf(n));
}

/** Writes items as NDJSON, in memory that does not grow with their number. */
export async function writeItems(file: string, count: number): Promise<void> {
  await pipeline(Readable.from(blocks(count)), createWriteStream(file));
}

function* blocks(count: number): Generator<string> {
  for (let from = 0; from < count; from += linesPerWrite) {
    let text = '';
    for (let n = from; n < Math.min(from + linesPerWrite, count); n += 1) {
      text += `${JSON.stringify(itemOf(n))}\n`;
    }
    yield text;
  }
}

/** Keeps score of items that came back. */
export interface Tally {
  /** Rejects one that came twice, or that is none of the items as they were sent. */
  add(item: unknown): void;
  /** How many came; rejects unless all did. */
  total(): number;
}

export function createTally(count: number): Tally {
  const seen = new Uint8Array(count);
  let total = 0;
  return {
    add: (item) => {
      const n = (item as Partial<Item> | null)?.n ?? -1;
      if (!(n in seen) || JSON.stringify(item) !== JSON.stringify(itemOf(n))) {
        throw new Error(`came back, and is none of the items: ${JSON.stringify(item)}`);
      }
      if (seen[n] === 1) throw new Error(`item ${n} came back twice`);
      seen[n] = 1;
      total += 1;
    },
    total: () => {
      if (total !== count) throw new Error(`${total} of ${count} items came back`);
      return total;
    },
  };
}
