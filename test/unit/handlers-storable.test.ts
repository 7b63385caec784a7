import fc from 'fast-check';
import { unstorableReason } from '../../src/domain/batch/storable';
import { OUTPUT_BYTES_MAX } from '../../src/domain/handler/contract';
import { outputProblem } from '../../src/domain/handler/output';
import { JSON_DEPTH_MAX } from '../../src/domain/json-text';

/** The plain way: parse, and look at each string and key code point by code point. */
function holdsUnstorableText(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\u0000') || !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, part]) => holdsUnstorableText(key) || holdsUnstorableText(part));
}

/** Strings in which backslashes, the letter u, NUL and surrogates stand next to each other. */
const piece = fc.constantFrom(
  '\\',
  '\\\\',
  '"',
  'u',
  '0000',
  '\u0000',
  '\ud83d',
  '\ude00',
  '😀',
  'a',
  '\n',
  'é',
);
const nasty = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
const value = fc.letrec((tie) => ({
  node: fc.oneof(
    { depthSize: 'small' },
    nasty,
    fc.integer(),
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(nasty, tie('node'), { maxKeys: 3 }),
  ),
})).node;

/** The same text with every character of its strings as an escape: what another client may send. */
function escapeAll(text: string): string {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/gs, (quoted) => {
    const inner = JSON.parse(quoted) as string;
    return `"${Array.from({ length: inner.length }, (_, i) => `\\u${inner.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`;
  });
}

describe('JSON text that PostgreSQL cannot store', () => {
  test('is found exactly where a string or key holds U+0000 or a lone surrogate, however it is escaped', () => {
    fc.assert(
      fc.property(value, (json) => {
        const expected = holdsUnstorableText(json);
        for (const text of [
          JSON.stringify(json),
          escapeAll(JSON.stringify(json)),
          JSON.stringify(json, null, 1),
        ]) {
          expect({ text, found: unstorableReason(text) !== undefined }).toEqual({ text, found: expected });
        }
      }),
      { numRuns: 3_000, examples: [['\\u0000'], ['\\\u0000'], ['\\\\u0000'], ['😀'], ['\ude00\ud83d']] },
    );
  });

  test.each([
    ['"\\u0000"', 'the character U+0000'],
    ['"\\\\u0000"', undefined],
    ['"\\\\\\u0000"', 'the character U+0000'],
    ['{"\\u0000":1}', 'the character U+0000'],
    ['"\\ud83d\\ude00"', undefined],
    ['"\\uD83D\\uDE00"', undefined],
    ['"\\ud83d"', 'a lone surrogate'],
    ['"\\ude00\\ud83d"', 'a lone surrogate'],
    ['"\\ud83d\\n\\ude00"', 'a lone surrogate'],
    ['"\\ud83dx\\ude00"', 'a lone surrogate'],
    ['"\\ud83d\\ud83d\\ude00"', 'a lone surrogate'],
    ['["\\ud83d","\\ude00"]', 'a lone surrogate'],
    ['"\ud83d"', 'a lone surrogate'],
    ['"\\ud7ff\\ue000"', undefined],
  ])('%s: %s', (text, reason) => {
    expect(unstorableReason(text)).toBe(reason);
  });

  test('a number beyond numeric is found, and what only looks like one within a string is not', () => {
    expect(unstorableReason('[1, {"a": -1e400000}]')).toBe('a number with too many digits');
    expect(unstorableReason('1E-16384')).toBe('a number with too many digits');
    expect(unstorableReason(`0.${'1'.repeat(16_384)}`)).toBe('a number with too many digits');
    expect(unstorableReason('1'.repeat(131_073))).toBe('a number with too many digits');
    expect(unstorableReason('{"sha": "3fe1234567", "quoted \\" 1e99999": 1e308}')).toBeUndefined();
    expect(unstorableReason(JSON.stringify('9'.repeat(200_000)))).toBeUndefined();
  });
});

describe('an output', () => {
  test('of exactly 1 MB of UTF-8 is allowed, one byte more is too large', () => {
    for (const char of ['a', 'é', '€', '😀']) {
      const bytes = Buffer.byteLength(char);
      const fits = char.repeat(Math.floor((OUTPUT_BYTES_MAX - 2) / bytes));
      const filler = 'a'.repeat(OUTPUT_BYTES_MAX - 2 - Buffer.byteLength(fits));
      expect(outputProblem(`"${fits}${filler}"`)).toBeUndefined();
      expect(outputProblem(`"${fits}${filler}a"`)?.code).toBe('output_too_large');
    }
  });

  test('that nests deeper than the limit is refused, brackets within strings do not count', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(outputProblem(nested(JSON_DEPTH_MAX))).toBeUndefined();
    expect(outputProblem(nested(JSON_DEPTH_MAX + 1))?.code).toBe('output_not_storable');
    expect(outputProblem(JSON.stringify(nested(JSON_DEPTH_MAX * 4)))).toBeUndefined();
  });
});
