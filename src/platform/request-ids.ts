/**
 * Ids of requests: UUIDv7 like all others, made in a fifth of the time. There is one for each request, and the general way
 * asks the system for 16 bytes and goes through the UUID's text; this was a twentieth of a small request.
 */
import { randomFillSync } from 'node:crypto';
import { ID_PREFIXES } from '../domain/ids';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const WORDS_AT_ONCE = 1_024;
const WORDS_PER_ID = 4;
/** RFC 9562 §5.7, of the 20 bits behind the time: 4 of version (7), 12 random, 2 of variant (0b10), 2 random. */
const VERSION_AND_VARIANT = 0x70008;
const RANDOM_BITS = 0x0fff3;

/** @returns `req_…`, in the form of `encodeId` */
export function createRequestIds(nowMs: () => number): () => string {
  const pairs = Array.from({ length: 1_024 }, (_, n) => ALPHABET.charAt(n >> 5) + ALPHABET.charAt(n & 31));
  const four = (bits: number): string => (pairs[bits >> 10] ?? '') + (pairs[bits & 1_023] ?? '');
  const words = new Uint32Array(WORDS_AT_ONCE);
  let used = WORDS_AT_ONCE;
  const random20 = (): number => (words[used++] ?? 0) & 0xfffff;
  let lastMs = -1;
  let head = '';
  return () => {
    if (used > WORDS_AT_ONCE - WORDS_PER_ID) {
      randomFillSync(words);
      used = 0;
    }
    const ms = nowMs();
    if (ms !== lastMs) {
      lastMs = ms;
      head = headOf(ms, pairs);
    }
    const first = (random20() & RANDOM_BITS) | VERSION_AND_VARIANT;
    return head + four(first) + four(random20()) + four(random20()) + four(random20());
  };
}

/** Prefix and the 48 bits of the time, behind two that are 0. */
function headOf(ms: number, pairs: readonly string[]): string {
  let text = '';
  for (let left = ms, at = 0; at < 5; at++, left = Math.floor(left / 1_024)) {
    text = (pairs[left % 1_024] ?? '') + text;
  }
  return `${ID_PREFIXES.request}_${text}`;
}
