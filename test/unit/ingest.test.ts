import fc from 'fast-check';
import type { NewItem } from '../../src/domain/batch/item';
import { isAppError } from '../../src/domain/errors';
import { parseCsv } from '../../src/api/batch/ingest/csv';
import { parseJsonArray } from '../../src/api/batch/ingest/json-array';
import type { ItemParser } from '../../src/api/batch/ingest/limits';
import { parseNdjson } from '../../src/api/batch/ingest/ndjson';
import { utf8Blocks } from '../../src/api/batch/ingest/utf8';

const LIMITS = { itemBytesMax: 1000 };

/** Cuts at the given places, so that a cut may fall inside a character, an escape or a CRLF. */
async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let no = 0; at < bytes.length; no++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[no % sizes.length] as number);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function read(
  parser: ItemParser,
  body: string | Buffer,
  sizes: readonly number[] = [],
): Promise<NewItem[]> {
  const items: NewItem[] = [];
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  for await (const batch of parser(utf8Blocks(cut(bytes, sizes)), LIMITS)) items.push(...batch);
  return items;
}

async function faultOf(parser: ItemParser, body: string | Buffer, sizes: readonly number[] = []) {
  try {
    await read(parser, body, sizes);
  } catch (error) {
    if (isAppError(error)) return { code: error.code, line: error.errors?.[0]?.line };
    throw error;
  }
  return undefined;
}

const sizesArb = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
/** Storable text with what is dangerous on the way: controls, quotes, astral characters. */
const textArb = fc
  .string({ unit: 'grapheme', maxLength: 20 })
  .map((text) => text.replaceAll('\u0000', ''))
  .filter((text) => text.isWellFormed());
const oddTextArb = fc.oneof(
  textArb,
  fc.constantFrom('\\', '\\u0041', '"', '\t', '\r\n', '😀', '\u2028', '}],', ',"', '\\N'),
);
const jsonArb = fc
  .jsonValue({ maxDepth: 3, stringUnit: 'grapheme' })
  .filter((value) => !/\\u0000|\\ud[89a-f]/i.test(JSON.stringify(value)))
  .filter((value) => Buffer.byteLength(JSON.stringify(value)) < 200)
  // an object of these very keys would be an envelope
  .filter((value) => !(typeof value === 'object' && value !== null && 'input' in value));
const blankArb = fc.constantFrom('', ' ', '\t', '  ');

describe('every format gives back what went in, wherever the bytes are cut', () => {
  it('NDJSON, with its exact text, LF or CRLF, blank lines and their count', async () => {
    const lineArb = fc.record({
      value: fc.option(jsonArb, { nil: undefined }),
      blank: blankArb,
      crlf: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(lineArb), sizesArb, fc.boolean(), async (lines, sizes, bom) => {
        const texts = lines.map(({ value }) => (value === undefined ? '' : JSON.stringify(value)));
        const body = lines
          .map(({ blank, crlf }, no) => `${blank}${texts[no]}${blank}${crlf ? '\r\n' : '\n'}`)
          .join('');
        const items = await read(parseNdjson, (bom ? '\ufeff' : '') + body, sizes);
        const wanted = texts.map((text, no) => ({ text, line: no + 1 })).filter(({ text }) => text !== '');
        expect(items.map((item) => item.line)).toEqual(wanted.map(({ line }) => line));
        expect(items.map((item) => item.input)).toEqual(wanted.map(({ text }) => text));
      }),
    );
  });

  it('a JSON array, compact or over many lines', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(jsonArb),
        sizesArb,
        fc.constantFrom(undefined, 1, '\t'),
        async (values, sizes, indent) => {
          const wrapped = values.map((input) => ({ input }));
          const items = await read(parseJsonArray, JSON.stringify(wrapped, undefined, indent), sizes);
          expect(items.map((item) => item.input.replace(/\s/g, ''))).toEqual(
            values.map((v) => JSON.stringify(v).replace(/\s/g, '')),
          );
        },
      ),
    );
  });

  it('CSV with quotes, commas and newlines in fields', async () => {
    const rowsArb = fc.array(fc.tuple(oddTextArb, oddTextArb));
    await fc.assert(
      fc.asyncProperty(rowsArb, sizesArb, fc.constantFrom('\n', '\r\n'), async (rows, sizes, newline) => {
        const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
        const lines = rows.map((row) => row.map(quote).join(','));
        const body = [`a,"b""c"`, ...lines].join(newline);
        const items = await read(parseCsv, body, sizes);
        expect(items.map((item) => JSON.parse(item.input))).toEqual(rows.map(([a, b]) => ({ a, 'b"c': b })));
        const starts = lines.map(
          (_, no) => 2 + lines.slice(0, no).join(newline).split('\n').length - (no === 0 ? 1 : 0),
        );
        expect(items.map((item) => item.line)).toEqual(starts);
      }),
    );
  });

  it('an envelope keeps the exact text of its input and takes its custom_id', async () => {
    await fc.assert(
      fc.asyncProperty(oddTextArb, blankArb, fc.boolean(), async (text, blank, first) => {
        const input = `{"n":12345678901234567890.10,${blank}"s":${JSON.stringify(text)},"a":[1,{"b":"]}"}]}`;
        const id = `"custom_id"${blank}:${blank}"x\\"},"`;
        const parts = first ? [`"input":${blank}${input}`, id] : [id, `"input":${blank}${input}`];
        const items = await read(parseNdjson, `{${blank}${parts.join(`${blank},${blank}`)}${blank}}`);
        expect(items).toEqual([{ customId: 'x"},', input, line: 1 }]);
      }),
    );
  });
});

describe('what is an envelope', () => {
  it.each([
    ['{"input":1}', null, '1'],
    ['{"input":null,"custom_id":"a"}', 'a', 'null'],
    ['{"input":1,"custom_id":"a","more":1}', null, '{"input":1,"custom_id":"a","more":1}'],
    ['{"custom_id":"a"}', null, '{"custom_id":"a"}'],
    ['{}', null, '{}'],
    ['[{"input":1}]', null, '[{"input":1}]'],
    ['{"input":1,"input":2.50}', null, '2.50'],
    ['{"\\u0069nput":true}', null, 'true'],
  ])('%s', async (line, customId, input) => {
    expect(await read(parseNdjson, line)).toEqual([{ customId, input, line: 1 }]);
  });
});

describe('a fault is told with its physical line', () => {
  const ok = '{"a":1}';
  const big = `"${'x'.repeat(1001)}"`;
  it.each<[string, ItemParser, string | Buffer, string, number]>([
    ['NDJSON that is no JSON', parseNdjson, `${ok}\n\n${ok}\n{"a":}\n`, 'malformed_ndjson', 4],
    ['NDJSON cut off at the end', parseNdjson, `${ok}\r\n{"a":`, 'malformed_ndjson', 2],
    ['two values on a line', parseNdjson, `${ok}\n1 2`, 'malformed_ndjson', 2],
    ['a raw control character in a string', parseNdjson, `"a\u0001"`, 'malformed_ndjson', 1],
    ['a line over the limit', parseNdjson, `${ok}\n${big}\n${ok}`, 'item_too_large', 2],
    ['an endless line', parseNdjson, `${ok}\n${'['.repeat(3000)}`, 'item_too_large', 2],
    ['a custom_id that is a number', parseNdjson, `${ok}\n{"input":1,"custom_id":7}`, 'invalid_item', 2],
    ['a custom_id that is empty', parseNdjson, `{"input":1,"custom_id":""}`, 'invalid_item', 1],
    [
      'a custom_id of 256 characters',
      parseNdjson,
      `{"input":1,"custom_id":"${'x'.repeat(256)}"}`,
      'invalid_item',
      1,
    ],
    ['U+0000 by an escape', parseNdjson, `${ok}\n{"a":"\\u0000"}`, 'not_storable', 2],
    ['a lone surrogate by an escape', parseNdjson, `${ok}\n{"\\ud800":1}`, 'not_storable', 2],
    ['a lone surrogate in a custom_id', parseNdjson, `{"input":1,"custom_id":"\\udc00"}`, 'not_storable', 1],
    ['bytes that are no UTF-8', parseNdjson, Buffer.from('"a"\n"b\xff"\n"c"', 'latin1'), 'not_storable', 2],
    [
      'a fault before bytes that are no UTF-8',
      parseNdjson,
      Buffer.from('"a"\n"b\n"\xff"', 'latin1'),
      'malformed_ndjson',
      2,
    ],
    [
      'a sequence cut off at the end',
      parseNdjson,
      Buffer.from('"a"\n"\xe2\x82', 'latin1'),
      'not_storable',
      2,
    ],
    ['a surrogate encoded as UTF-8', parseNdjson, Buffer.from('"\xed\xa0\x80"', 'latin1'), 'not_storable', 1],

    [
      'a bad element over many lines',
      parseJsonArray,
      '[\n  {"a": 1},\n  {\n    "b": tru\n  }\n]',
      'malformed_json',
      4,
    ],
    ['an array without end', parseJsonArray, `[\n${ok},\n${ok}\n\n`, 'malformed_json', 3],
    ['an array cut off in a string', parseJsonArray, `[\n${ok},\n"abc`, 'malformed_json', 3],
    ['a comma too many', parseJsonArray, `[\n1,\n]`, 'malformed_json', 3],
    ['two commas', parseJsonArray, `[1,\n,2]`, 'malformed_json', 2],
    ['no comma', parseJsonArray, `[1\n2]`, 'malformed_json', 2],
    ['text after the array', parseJsonArray, `[1]\n\n[2]`, 'malformed_json', 3],
    ['a wrong bracket', parseJsonArray, `[{"a":1]\n]`, 'malformed_json', 1],
    ['an empty body', parseJsonArray, '', 'malformed_json', 1],
    ['an object', parseJsonArray, `\n{"items":\n[]}`, 'invalid_item', 2],
    ['an object that is no JSON', parseJsonArray, `{"items":\n[}`, 'malformed_json', 2],
    ['a very deep element that is no JSON', parseJsonArray, `[${'['.repeat(900)}]`, 'malformed_json', 1],
    ['an element over the limit', parseJsonArray, `[1,\n${big}]`, 'item_too_large', 2],
    ['an unstorable element', parseJsonArray, `[1,\n{"a":\n"\\u0000"}]`, 'not_storable', 2],
    ['a bad custom_id in an element', parseJsonArray, `[1,\n{"custom_id":1,"input":2}]`, 'invalid_item', 2],

    ['a row with too few columns', parseCsv, 'a,b\n1,2\n1\n', 'malformed_csv', 3],
    ['a row with too many columns', parseCsv, 'a,b\n1,2\n\n1,2,3\n', 'malformed_csv', 4],
    ['a bad row after quoted newlines', parseCsv, 'a,b\r\n"1\r\n\r\n",2\r\n1\r\n', 'malformed_csv', 5],
    ['a quote never closed', parseCsv, 'a,b\n1,2\n1,"2\n3,4\n', 'malformed_csv', 3],
    ['text after a closing quote', parseCsv, 'a\n"1"2\n', 'malformed_csv', 2],
    ['a quote inside a field', parseCsv, 'a\n1"2\n', 'malformed_csv', 2],
    ['a header name given twice', parseCsv, 'a,b,a\n1,2,3', 'invalid_item', 1],
    ['a header name that is empty', parseCsv, '\na,\n1,2', 'invalid_item', 2],
    ['a custom_id that is empty in CSV', parseCsv, 'custom_id,a\nx,1\n,2', 'invalid_item', 3],
    ['U+0000 in CSV', parseCsv, 'a\nx\u0000y', 'not_storable', 2],
    ['a record over the limit', parseCsv, `a,b\n1,2\n${big},2`, 'item_too_large', 3],
    ['bytes that are no UTF-8 in CSV', parseCsv, Buffer.from('a\n1\n\xff', 'latin1'), 'not_storable', 3],
  ])('%s', async (_name, parser, body, code, line) => {
    expect(await faultOf(parser, body)).toEqual({ code, line });
    expect(await faultOf(parser, body, [1])).toEqual({ code, line });
    expect(await faultOf(parser, body, [7, 2])).toEqual({ code, line });
  });

  it('the line of a fault is right after any CSV', async () => {
    const rowArb = fc.record({ text: oddTextArb, blank: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(
        fc.array(rowArb),
        sizesArb,
        fc.constantFrom('\n', '\r\n'),
        async (rows, sizes, newline) => {
          const good = rows.map(
            ({ text, blank }) => `"${text.replaceAll('"', '""')}",1${newline}${blank ? newline : ''}`,
          );
          const before = `a,b${newline}${good.join('')}`;
          const wanted = { code: 'malformed_csv', line: before.split('\n').length };
          expect(await faultOf(parseCsv, `${before}1,2,3${newline}`, sizes)).toEqual(wanted);
        },
      ),
    );
  });
});

describe('an upload may be empty', () => {
  it.each<[string, ItemParser, string]>([
    ['NDJSON', parseNdjson, ''],
    ['NDJSON of a byte order mark and blank lines', parseNdjson, '\ufeff\n \r\n'],
    ['a JSON array', parseJsonArray, ' [ \n ] '],
    ['CSV', parseCsv, ''],
    ['CSV with a header alone', parseCsv, 'a,b\r\n'],
  ])('%s', async (_name, parser, body) => {
    expect(await read(parser, body)).toEqual([]);
    expect(await read(parser, body, [1])).toEqual([]);
  });
});

it('a CSV of custom_id alone has empty objects as inputs', async () => {
  expect(await read(parseCsv, 'custom_id\na\nb')).toEqual([
    { customId: 'a', input: '{}', line: 2 },
    { customId: 'b', input: '{}', line: 3 },
  ]);
});
