import { createHash } from 'node:crypto';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import {
  crc32,
  formatKey,
  formatTicket,
  isWellFormedKey,
  isWellFormedTicket,
  KEY_ALPHABET,
  KEY_RANDOM_LENGTH,
  withoutKeys,
} from '../../src/domain/key/key-format';
import { createKeyMint } from '../../src/platform/secrets/key-mint';

const random = fc
  .array(fc.constantFrom(...KEY_ALPHABET), { minLength: KEY_RANDOM_LENGTH, maxLength: KEY_RANDOM_LENGTH })
  .map((chars) => chars.join(''));

test('CRC-32 has the check value of the standard, and is what zlib computes', () => {
  expect(crc32('123456789')).toBe(0xcbf43926);
  // Node 20.19 has it; the type definitions of Node 20 do not.
  const { crc32: reference } = zlib as unknown as { crc32: (text: string) => number };
  fc.assert(fc.property(random, (text) => expect(crc32(text)).toBe(reference(text))));
});

test('every key that is made is well-formed', () => {
  fc.assert(
    fc.property(random, (text) => {
      const key = formatKey(text);
      expect(key).toMatch(/^mrk_[0-9A-Za-z]{36}$/);
      expect(isWellFormedKey(key)).toBe(true);
    }),
  );
});

test('a key with one character changed, or two swapped, is not well-formed', () => {
  const place = fc.integer({ min: 4, max: 39 });
  fc.assert(
    fc.property(random, place, fc.constantFrom(...KEY_ALPHABET), (text, at, char) => {
      const key = formatKey(text);
      if (key[at] === char) return;
      expect(isWellFormedKey(key.slice(0, at) + char + key.slice(at + 1))).toBe(false);
    }),
  );
  fc.assert(
    fc.property(random, fc.integer({ min: 4, max: 32 }), (text, at) => {
      const key = formatKey(text);
      if (key[at] === key[at + 1]) return;
      const swapped = `${key.slice(0, at)}${key[at + 1]}${key[at]}${key.slice(at + 2)}`;
      expect(isWellFormedKey(swapped)).toBe(false);
    }),
  );
});

test.each([[''], ['mrk_'], ['mrk_é'], [`mrk_${'a'.repeat(37)}`], [`mrx_${'a'.repeat(36)}`]])(
  '%j is no key',
  (text) => {
    expect(isWellFormedKey(text)).toBe(false);
  },
);

test('minted keys differ, and their hash is the SHA-256 of the whole key', () => {
  const { mint } = createKeyMint();
  const keys = Array.from({ length: 100 }, mint);
  expect(new Set(keys.map(({ secret }) => secret)).size).toBe(100);
  for (const { secret, hash, prefix } of keys) {
    expect(isWellFormedKey(secret)).toBe(true);
    expect(secret.startsWith(prefix)).toBe(true);
    expect(prefix).toHaveLength(12);
    expect(Buffer.from(hash)).toEqual(createHash('sha256').update(secret).digest());
  }
});

test('a ticket is made and checked as a key is, and neither is taken for the other', () => {
  fc.assert(
    fc.property(
      random,
      fc.integer({ min: 4, max: 39 }),
      fc.constantFrom(...KEY_ALPHABET),
      (text, at, char) => {
        const ticket = formatTicket(text);
        expect(ticket).toMatch(/^mrt_[0-9A-Za-z]{36}$/);
        expect([isWellFormedTicket(ticket), isWellFormedKey(ticket)]).toEqual([true, false]);
        const key = formatKey(text);
        expect([isWellFormedTicket(key), isWellFormedTicket(`mrt_${key.slice(4)}`)]).toEqual([false, false]);
        if (ticket[at] === char) return;
        expect(isWellFormedTicket(ticket.slice(0, at) + char + ticket.slice(at + 1))).toBe(false);
      },
    ),
  );
});

test('minted tickets differ, and their hash is the SHA-256 of the whole ticket', () => {
  const { mintTicket } = createKeyMint();
  const tickets = Array.from({ length: 100 }, mintTicket);
  expect(new Set(tickets.map(({ ticket }) => ticket)).size).toBe(100);
  for (const { ticket, hash } of tickets) {
    expect(isWellFormedTicket(ticket)).toBe(true);
    expect(Buffer.from(hash)).toEqual(createHash('sha256').update(ticket).digest());
  }
});

test('keys and tickets are taken out of a text, wherever they stand in it', () => {
  const [key, ticket] = [formatKey('k'.repeat(30)), formatTicket('t'.repeat(30))];
  const text = withoutKeys(`/v1/${key}/x${ticket}, ${ticket}${key}!`);
  expect(text).toBe('/v1/mrk_[redacted]/xmrt_[redacted], mrt_[redacted]mrk_[redacted]!');
});
