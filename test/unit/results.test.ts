import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { CSV_COLUMNS, CSV_HEADER, harmless, toCsvRecords } from '../../src/api/batch/results/csv';

interface Result {
  index: number;
  custom_id: string;
  status: string;
  output: unknown;
  error: { code: string; message: string } | null;
  attempts: number;
  duration_ms: number;
}

const ROW: Result = {
  ...{ index: 0, custom_id: 'a', status: 'succeeded', output: { x: 1 }, error: null },
  ...{ attempts: 1, duration_ms: 3 },
};
const lines = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const cellsOf = (text: string): Record<string, string>[] =>
  parse(text, { columns: [...CSV_COLUMNS], record_delimiter: '\r\n' });
const cellOf = (row: Partial<Result>, column: string): string | undefined =>
  cellsOf(toCsvRecords(lines([{ ...ROW, ...row }])))[0]?.[column];

/** What spreadsheets skip before they look for a sign. */
const unseen = fc.constantFrom('', ' ', '\t', '\r', '\n', '\u00a0', '\ufeff', '\u200b', '\u0001', '\u2028');
const sign = fc.constantFrom('=', '+', '-', '@', '\uff1d', '\uff0b', '\uff0d', '\uff20', '\u2212', '\ufe63');
const text = fc.string({ unit: 'grapheme', maxLength: 15 });
const odd = fc.oneof(text, fc.constantFrom('a"b', 'a,b', 'a\nb', 'a\r\nb', '\r', ' a ', '', '"', '""'));

it('any row can be read back from its CSV, whatever its texts hold', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(odd, odd, fc.jsonValue())), (triples) => {
      const rows = triples.map(([id, message, output], index) => {
        const error = index % 2 === 0 ? null : { code: 'handler_failed', message: `m${message}` };
        return { ...ROW, index, custom_id: `c${id}`, output, error };
      });
      const wanted = rows.map(({ index, custom_id, output, error }) => ({
        ...{ index: String(index), custom_id, status: 'succeeded' },
        ...{ output: output === null ? '' : harmless(JSON.stringify(output)) },
        ...{
          error_code: error?.code ?? '',
          error_message: error?.message ?? '',
          attempts: '1',
          duration_ms: '3',
        },
      }));
      expect(
        parse(CSV_HEADER + toCsvRecords(lines(rows)), { columns: true, record_delimiter: '\r\n' }),
      ).toEqual(wanted);
    }),
  );
});

it('an output keeps its exact text', () => {
  const line = lines([ROW]).replace('{"x":1}', '{"n": 1.0, "big":12345678901234567890, "a" : [ "\\u00e9" ]}');
  expect(cellsOf(toCsvRecords(line))[0]?.output).toBe(
    '{"n": 1.0, "big":12345678901234567890, "a" : [ "\\u00e9" ]}',
  );
});

describe('no cell begins a formula', () => {
  it('whatever stands before the sign and behind it', () => {
    fc.assert(
      fc.property(fc.array(unseen, { maxLength: 3 }), sign, text, (before, first, rest) => {
        const formula = before.join('') + first + rest;
        if (/^-\d+(\.\d+)?([eE][+-]?\d+)?$/.test(formula)) return;
        expect(cellOf({ custom_id: formula }, 'custom_id')).toBe(`'${formula}`);
        const error = { code: 'handler_failed', message: formula };
        expect(cellOf({ error }, 'error_message')).toBe(`'${formula}`);
      }),
    );
  });

  it.each([
    '=1+1',
    '+1',
    '-a',
    '-',
    '@x',
    '\tx',
    '\rx',
    '\nx',
    '-2+3',
    '-1e',
    ' =1',
    '\uff1d1',
    '\u22121',
    '-5 ',
  ])('a cell %j is none any more', (formula) => {
    expect(harmless(formula)).toBe(`'${formula}`);
  });

  it.each(['-5', '-5.25', '-1e-7', '5', 'a=b', '', '{"a":-1}', ' a', '[-1]', '"-5"', '"=1"'])(
    'a cell %j stays as it is',
    (plain) => {
      expect(harmless(plain)).toBe(plain);
    },
  );

  it('numbers stay numbers, and a text that an output consists of stays in its quotes', () => {
    expect(cellOf({ output: -5 }, 'output')).toBe('-5');
    expect(cellOf({ output: '-5' }, 'output')).toBe('"-5"');
    expect(cellOf({ output: '=1+1' }, 'output')).toBe('"=1+1"');
    expect(cellOf({ custom_id: '-5' }, 'custom_id')).toBe('-5');
  });
});
