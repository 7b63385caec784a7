import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import type { ResultRow } from '../../src/domain/batch/item';
import { CSV_HEADER, harmless, toCsvRows, toNdjsonLine } from '../../src/api/batch/results/lines';

const ROW: ResultRow = {
  ...{
    index: 0,
    custom_id: 'a',
    status: 'succeeded',
    output: '{"x":1}',
    error: null,
    attempts: 1,
    duration_ms: 3,
  },
};

it('a line has the keys of the contract, in its order, and the exact text of the output', () => {
  expect(toNdjsonLine({ ...ROW, output: '{"n": 1.0}' })).toBe(
    '{"index":0,"custom_id":"a","status":"succeeded","output":{"n": 1.0},"error":null,"attempts":1,"duration_ms":3}\n',
  );
});

it('an output that spans lines still makes one line', () => {
  const line = toNdjsonLine({ ...ROW, output: '{\r\n  "a": [\n1 ]}' });
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line).output).toEqual({ a: [1] });
});

it('any row can be read back from its CSV', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 15 });
  const odd = fc.oneof(text, fc.constantFrom('a"b', 'a,b', 'a\nb', 'a\r\nb', '\r', ' a ', ''));
  fc.assert(
    fc.property(fc.array(fc.tuple(odd, odd)), (pairs) => {
      const rows = pairs.map(([id, message], index): ResultRow => {
        const error = JSON.stringify({ code: 'handler_failed', message: `m${message}` });
        return { ...ROW, index, custom_id: `c${id}`, status: 'failed', output: null, error };
      });
      const back = parse(CSV_HEADER + toCsvRows(rows), { columns: true, record_delimiter: '\r\n' });
      const wanted = rows.map((row, no) => ({
        ...{ index: String(no), custom_id: row.custom_id, status: 'failed', output: '' },
        ...{
          error_code: 'handler_failed',
          error_message: `m${pairs[no]?.[1]}`,
          attempts: '1',
          duration_ms: '3',
        },
      }));
      expect(back).toEqual(wanted);
    }),
  );
});

it.each(['=1+1', '+1', '-a', '-', '@x', '\tx', '\rx', '-2+3', '-1e', '＝1'])(
  'a cell %j is no formula any more',
  (text) => {
    expect(harmless(text)).toBe(`'${text}`);
  },
);

it.each(['-5', '-5.25', '-1e-7', '5', 'a=b', '', '{"a":-1}'])('a cell %j stays as it is', (text) => {
  expect(harmless(text)).toBe(text);
});
