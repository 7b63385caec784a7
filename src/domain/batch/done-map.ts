/** Which chunks are done, as a short text that passes through Temporal: a bit each, in hexadecimal, the first one first. */

/** Chunks that a map covers: 512 characters. */
export const DONE_MAP_MAX = 2_048;

/** @param done numbers from 0, below `DONE_MAP_MAX` */
export function encodeDone(done: readonly number[]): string {
  const digits: number[] = [];
  for (const n of done) {
    const at = n >> 2;
    while (digits.length <= at) digits.push(0);
    digits[at] = (digits[at] ?? 0) | (1 << (n & 3));
  }
  return digits.map((digit) => digit.toString(16)).join('');
}

export function decodeDone(text: string): number[] {
  const done: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const digit = Number.parseInt(text.charAt(at), 16);
    for (let bit = 0; bit < 4; bit++) if ((digit & (1 << bit)) !== 0) done.push(4 * at + bit);
  }
  return done;
}
