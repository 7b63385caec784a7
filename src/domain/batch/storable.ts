/**
 * What PostgreSQL's json types can't take: the code point U+0000 and lone surrogates (RFC 8259 §8.2 allows both in JSON text).
 * `text` is JSON text. An escape counts only when its backslash is not itself escaped.
 */
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|.)/gs;

export function unstorableReason(text: string): string | undefined {
  if (!text.isWellFormed()) return 'a lone surrogate';
  if (text.includes('\u0000')) return 'the character U+0000';
  if (!text.includes('\\u')) return undefined;
  return escapedReason(text);
}

function escapedReason(text: string): string | undefined {
  let high = -1; // where a waiting high surrogate ended
  for (const match of text.matchAll(ESCAPE)) {
    const code = match[1] === undefined ? -1 : Number.parseInt(match[1], 16);
    if (code === 0) return 'the character U+0000';
    const low = code >= 0xdc00 && code <= 0xdfff;
    if (high >= 0 && !(low && match.index === high)) return 'a lone surrogate';
    if (high < 0 && low) return 'a lone surrogate';
    high = code >= 0xd800 && code <= 0xdbff ? match.index + match[0].length : -1;
  }
  return high >= 0 ? 'a lone surrogate' : undefined;
}
