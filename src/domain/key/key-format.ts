/**
 * The text of an API key: `mrk_`, 30 base62 characters at random (178 bits), and the CRC-32 of all that stands before as
 * 6 base62 characters. A mistyped or made-up key is refused without asking the database, and scanners of leaked secrets know
 * one for certain.
 */
export const KEY_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
export const KEY_RANDOM_LENGTH = 30;
const BRAND = 'mrk_';
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(`^${BRAND}[0-9A-Za-z]{${KEY_RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);
const ANYWHERE = new RegExp(`${BRAND}[0-9A-Za-z]{${KEY_RANDOM_LENGTH + CHECKSUM_LENGTH}}`, 'g');
const SHOWN_LENGTH = 12;

/** @param random 30 characters of `KEY_ALPHABET` */
export function formatKey(random: string): string {
  return `${BRAND}${random}${checksum(BRAND + random)}`;
}

/** True for a text that `formatKey` can have made. */
export function isWellFormedKey(text: string): boolean {
  if (!SHAPE.test(text)) return false;
  return checksum(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH);
}

/** What a person recognises a key by; tells 8 of its 30 random characters. */
export function shownPrefix(key: string): string {
  return key.slice(0, SHOWN_LENGTH);
}

/** For a text that others will read or keep: a key that was sent in the wrong place is taken out. */
export function withoutKeys(text: string): string {
  return text.includes(BRAND) ? text.replace(ANYWHERE, `${BRAND}[redacted]`) : text;
}

function checksum(text: string): string {
  let value = crc32(text);
  let out = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i++) {
    out = KEY_ALPHABET.charAt(value % 62) + out;
    value = Math.floor(value / 62);
  }
  return out;
}

/** CRC-32 as in zip and PNG (ISO 3309, reflected polynomial 0xEDB88320), of ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
