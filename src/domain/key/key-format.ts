/**
 * The texts of secrets that let somebody in: API keys (`mrk_`) and stream tickets (`mrt_`). Behind the brand come 30 base62
 * characters at random (178 bits), and the CRC-32 of all that stands before as 6 base62 characters. A mistyped or made-up one is
 * refused without asking the database, and scanners of leaked secrets know one for certain.
 */
export const KEY_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
export const KEY_RANDOM_LENGTH = 30;
const KEY_BRAND = 'mrk_';
const TICKET_BRAND = 'mrt_';
const CHECKSUM_LENGTH = 6;
const REST = `[0-9A-Za-z]{${KEY_RANDOM_LENGTH + CHECKSUM_LENGTH}}`;
const KEY_SHAPE = new RegExp(`^${KEY_BRAND}${REST}$`);
const TICKET_SHAPE = new RegExp(`^${TICKET_BRAND}${REST}$`);
const ANYWHERE = new RegExp(`(${KEY_BRAND}|${TICKET_BRAND})${REST}`, 'g');
const SHOWN_LENGTH = 12;

/** @param random 30 characters of `KEY_ALPHABET` */
export function formatKey(random: string): string {
  return format(KEY_BRAND, random);
}

/** As `formatKey`. */
export function formatTicket(random: string): string {
  return format(TICKET_BRAND, random);
}

/** True for a text that `formatKey` can have made. */
export function isWellFormedKey(text: string): boolean {
  return KEY_SHAPE.test(text) && isChecked(text);
}

/** True for a text that `formatTicket` can have made. */
export function isWellFormedTicket(text: string): boolean {
  return TICKET_SHAPE.test(text) && isChecked(text);
}

function format(brand: string, random: string): string {
  return `${brand}${random}${checksum(brand + random)}`;
}

function isChecked(text: string): boolean {
  return checksum(text.slice(0, -CHECKSUM_LENGTH)) === text.slice(-CHECKSUM_LENGTH);
}

/** What a person recognises a key by; tells 8 of its 30 random characters. */
export function shownPrefix(key: string): string {
  return key.slice(0, SHOWN_LENGTH);
}

/** For a text that others will read or keep: a key or ticket that was sent in the wrong place is taken out. */
export function withoutKeys(text: string): string {
  const may = text.includes(KEY_BRAND) || text.includes(TICKET_BRAND);
  return may ? text.replace(ANYWHERE, '$1[redacted]') : text;
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

/** The remainders of half a byte. */
const CRC_NIBBLES = [
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320,
  0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
] as const;

/** CRC-32 as in zip and PNG (ISO 3309, reflected polynomial 0xEDB88320), of ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    crc = (crc >>> 4) ^ (CRC_NIBBLES[crc & 15] as number);
    crc = (crc >>> 4) ^ (CRC_NIBBLES[crc & 15] as number);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
