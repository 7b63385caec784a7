import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const randomLength = 30;
const checksumLength = 6;

/** Keys that look right down to their checksum and that nobody was given (docs/keys.md has the format). */
export function unknownKeys(count: number): string[] {
  return Array.from({ length: count }, () => {
    let text = 'mrk_';
    for (let n = 0; n < randomLength; n += 1) text += alphabet.charAt(randomInt(alphabet.length));
    return text + base62(crc32(text));
  });
}

function base62(value: number): string {
  let left = value;
  let text = '';
  for (let n = 0; n < checksumLength; n += 1) {
    text = alphabet.charAt(left % 62) + text;
    left = Math.floor(left / 62);
  }
  return text;
}
