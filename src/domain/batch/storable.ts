/**
 * What PostgreSQL's json types can't take, though RFC 8259 allows it in JSON text: the code point U+0000 and lone surrogates
 * (§8.2), and numbers beyond `numeric` (§6): more than 131,072 digits before the decimal point or 16,383 after it.
 */
const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const LETTER_U = 0x75;
const MINUS = 0x2d;

const DIGITS_BEFORE_POINT_MAX = 131_072;
const DIGITS_AFTER_POINT_MAX = 16_383;
/** Where numeric's parser gives up on an exponent, whatever stands before it. */
const EXPONENT_MAX = 1_000_000_000;

const NUL = 'the character U+0000';
const LONE = 'a lone surrogate';
const NUMBER = 'a number with too many digits';

/** Why well-formed JSON text cannot be stored, as the end of the sentence "it holds …"; undefined where it can. */
export function unstorableReason(text: string): string | undefined {
  if (!text.isWellFormed()) return LONE;
  if (text.includes('\u0000')) return NUL;
  if (text.includes('\\u')) {
    const reason = escapedReason(text);
    if (reason !== undefined) return reason;
  }
  // Only these can be out of range; both are rare, and may be within a string, so a careful look follows.
  const suspicious = /[eE][+-]?\d{4}/.test(text) || text.length > DIGITS_AFTER_POINT_MAX;
  return suspicious && hasHugeNumber(text) ? NUMBER : undefined;
}

/** An escape counts only when its backslash is not itself escaped; both halves of a pair are escaped, or none is. */
function escapedReason(text: string): string | undefined {
  let highEnd = -1; // where the escape of a waiting high surrogate ended
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at)) {
    const unicode = text.charCodeAt(at + 1) === LETTER_U;
    const code = unicode ? Number.parseInt(text.slice(at + 2, at + 6), 16) : -1;
    if (code === 0) return NUL;
    const isLow = code >= 0xdc00 && code <= 0xdfff;
    if (isLow ? highEnd !== at : highEnd >= 0) return LONE;
    const isHigh = code >= 0xd800 && code <= 0xdbff;
    at += unicode ? 6 : 2;
    highEnd = isHigh ? at : -1;
  }
  return highEnd >= 0 ? LONE : undefined;
}

function hasHugeNumber(text: string): boolean {
  const number = /-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?/y;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
    } else if (code === MINUS || (code >= 0x30 && code <= 0x39)) {
      number.lastIndex = at;
      const match = number.exec(text);
      if (match === null) continue;
      if (isHuge(match[1] as string, match[2] ?? '', Number(match[3] ?? 0))) return true;
      at = number.lastIndex - 1;
    }
  }
  return false;
}

/** Position of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at;
  }
  return text.length;
}

/** As `numeric` counts: digits after the point as they are written, digits before it from the first that is not 0. */
function isHuge(whole: string, fraction: string, exponent: number): boolean {
  if (Math.abs(exponent) >= EXPONENT_MAX) return true;
  if (fraction.length - exponent > DIGITS_AFTER_POINT_MAX) return true;
  const leadingZeros = (whole + fraction).search(/[1-9]/);
  return leadingZeros >= 0 && whole.length - leadingZeros + exponent > DIGITS_BEFORE_POINT_MAX;
}
