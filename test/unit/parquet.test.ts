import fc from 'fast-check';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { ResultTable, TABLE_LIMITS, type TableLimits } from '../../src/platform/parquet/table';

type Row = Record<string, unknown>;

interface Given {
  /** JSON text */
  output?: string;
  error?: { code: string; message: string };
  custom_id?: string;
}

const toLine = ({ output = 'null', error, custom_id }: Given, index: number): string =>
  `{"index":${index},"custom_id":${JSON.stringify(custom_id ?? `c${index}`)},"status":"${error ? 'failed' : 'succeeded'}",` +
  `"output":${output},"error":${JSON.stringify(error ?? null)},"attempts":1,"duration_ms":${index % 7}}\n`;

/** Over pages of three lines. */
function pagesOf(given: readonly Given[]): string[] {
  const lines = given.map(toLine);
  return Array.from({ length: Math.ceil(lines.length / 3) }, (_, i) =>
    lines.slice(3 * i, 3 * i + 3).join(''),
  );
}

function write(pages: readonly string[], limits: TableLimits = TABLE_LIMITS): Buffer {
  const table = new ResultTable(limits);
  for (const page of pages) table.observe(page);
  return Buffer.concat([...pages.map((page) => table.write(page)), table.finish()]);
}

const fileOf = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;

async function read(given: readonly Given[], limits?: TableLimits): Promise<{ rows: Row[]; types: Row }> {
  const file = fileOf(write(pagesOf(given), limits));
  const { schema } = parquetMetadata(file);
  const types = schema.slice(1).map(({ name, type, converted_type }) => [name, converted_type ?? type]);
  return { rows: await parquetReadObjects({ file }), types: Object.fromEntries(types) };
}

async function column(
  outputs: readonly string[],
  name = 'output.v',
): Promise<{ type: unknown; cells: unknown[] }> {
  const { rows, types } = await read(outputs.map((output) => ({ output })));
  return { type: types[name], cells: rows.map((row) => row[name]) };
}

const ofField = (values: readonly string[]) => column(values.map((value) => `{"v":${value}}`));

describe('a column has the narrowest type that holds all of its values exactly', () => {
  it.each<[string, string[], string, unknown[]]>([
    ['integers', ['1', '-2', '9223372036854775807'], 'INT64', [1n, -2n, 9223372036854775807n]],
    ['integers and nulls', ['1', 'null', '3'], 'INT64', [1n, null, 3n]],
    ['fractions', ['0.1', '2.50', '-1e-7'], 'DOUBLE', [0.1, 2.5, -1e-7]],
    ['integers among fractions', ['1', '0.5'], 'DOUBLE', [1, 0.5]],
    ['a whole number with a point', ['1.0', '2'], 'DOUBLE', [1, 2]],
    ['minus zero', ['-0', '1'], 'DOUBLE', [-0, 1]],
    ['integers beyond 64 bits', ['9223372036854775808'], 'UTF8', ['9223372036854775808']],
    ['a round integer beyond 64 bits', ['100000000000000000000'], 'DOUBLE', [1e20]],
    ['fractions beyond a double', ['0.1234567890123456789', '1'], 'UTF8', ['0.1234567890123456789', '1']],
    [
      'an integer that a double would round, among fractions',
      ['9007199254740993', '0.5'],
      'UTF8',
      ['9007199254740993', '0.5'],
    ],
    ['a number too large for any', ['1e400'], 'UTF8', ['1e400']],
    ['booleans', ['true', 'false', 'null'], 'BOOLEAN', [true, false, null]],
    ['texts', ['"a"', '""', '"1"', '"\\u00e9\\n\\"😀"'], 'UTF8', ['a', '', '1', 'é\n"😀']],
    ['nothing but nulls', ['null', 'null'], 'UTF8', [null, null]],
    ['numbers and texts', ['1', '"a"', 'null'], 'UTF8', ['1', '"a"', null]],
    ['booleans and numbers', ['true', '0'], 'UTF8', ['true', '0']],
    ['what is nested', ['{"a": 1.0}', '[1,2]', '[]'], 'UTF8', ['{"a": 1.0}', '[1,2]', '[]']],
    ['what is nested only once', ['1', '{}'], 'UTF8', ['1', '{}']],
  ])('%s', async (_what, values, type, cells) => {
    expect(await ofField(values)).toEqual({ type, cells });
  });

  it('which columns hold JSON text is told in the file', () => {
    const file = write(
      pagesOf([{ output: '{"a":1,"b":[1],"c":"x"}' }, { output: '{"a":"1","b":2,"c":"y"}' }]),
    );
    expect(parquetMetadata(fileOf(file)).key_value_metadata).toEqual([
      { key: 'millrace.json_columns', value: '["output.a","output.b"]' },
    ]);
  });
});

describe('outputs become columns', () => {
  it('one for each field, in the order in which they first came; what an output lacks is null', async () => {
    const { rows, types } = await read([
      { output: '{"b":1,"a.b":true}' },
      { error: { code: 'handler_failed', message: 'bööm' } },
      { output: '{"":"x","b":2}' },
    ]);
    expect(Object.keys(types)).toEqual([
      ...['index', 'custom_id', 'status', 'attempts', 'duration_ms', 'error_code', 'error_message'],
      ...['output.b', 'output.a.b', 'output.'],
    ]);
    const fixed = { attempts: 1, error_code: null, error_message: null };
    expect(rows).toEqual([
      {
        ...{ index: 0, custom_id: 'c0', status: 'succeeded', duration_ms: 0, ...fixed },
        ...{ 'output.b': 1n, 'output.a.b': true, 'output.': null },
      },
      {
        ...{ index: 1, custom_id: 'c1', status: 'failed', duration_ms: 1, ...fixed },
        ...{ error_code: 'handler_failed', error_message: 'bööm' },
        ...{ 'output.b': null, 'output.a.b': null, 'output.': null },
      },
      {
        ...{ index: 2, custom_id: 'c2', status: 'succeeded', duration_ms: 2, ...fixed },
        ...{ 'output.b': 2n, 'output.a.b': null, 'output.': 'x' },
      },
    ]);
  });

  it.each<[string, string[], string, unknown[]]>([
    ['numbers', ['1', '2'], 'INT64', [1n, 2n]],
    ['texts', ['"a"', 'null'], 'UTF8', ['a', null]],
    ['not all objects', ['{"a":1}', '2'], 'UTF8', ['{"a":1}', '2']],
    ['arrays', ['[1]', '[]'], 'UTF8', ['[1]', '[]']],
    ['objects without a field', ['{}', '{ }'], 'UTF8', ['{}', '{ }']],
    ['none', ['null', 'null'], 'UTF8', [null, null]],
  ])('a single one where they are %s', async (_what, outputs, type, cells) => {
    expect(await column(outputs, 'output')).toEqual({ type, cells });
  });

  it('a job without results, or whose items all failed, has a file of the same columns', async () => {
    expect((await read([])).rows).toEqual([]);
    const failed = await read([{ error: { code: 'handler_failed', message: '' } }]);
    expect(failed.rows).toEqual([
      {
        ...{ index: 0, custom_id: 'c0', status: 'failed', attempts: 1, duration_ms: 0 },
        ...{ error_code: 'handler_failed', error_message: '', output: null },
      },
    ]);
    expect((await read([])).types).toEqual(failed.types);
  });

  it('of a name that occurs twice the last value counts, also where it is null', async () => {
    expect(await column(['{"v":1,"v":2}', '{"v":1,"v":null}', '{"v":3}'])).toEqual({
      type: 'INT64',
      cells: [2n, null, 3n],
    });
  });

  it('fields beyond the limit, and those of very long names, stay together as JSON', async () => {
    const long = 'x'.repeat(256);
    const many = Array.from({ length: 1_002 }, (_, i) => `"f${i}":${i}`).join();
    const { rows, types } = await read([{ output: `{"${long}":1.0,${many}}` }, { output: '{"f1":7}' }]);
    expect(Object.keys(types).length).toBe(7 + 1_000 + 1);
    expect(rows[0]?.['output.f999']).toBe(999n);
    expect(rows[0]?.output_rest).toBe(`{"${long}":1.0,"f1000":1000,"f1001":1001}`);
    expect([rows[1]?.['output.f1'], rows[1]?.output_rest]).toEqual([7n, null]);
  });

  it('a file of many row groups has the fewer columns, so that its footer stays small', async () => {
    const given = Array.from({ length: 40 }, (_, i) => ({ output: `{"a":${i},"b":${i},"c":${i}}` }));
    const { rows, types } = await read(given, { rowsMax: 4, sizeMax: 1e6, entriesMax: 99 });
    expect(Object.keys(types).slice(7)).toEqual(['output.a', 'output.b', 'output_rest']);
    expect(rows.map((row) => row.output_rest)).toEqual(given.map((_, i) => `{"c":${i}}`));
  });
});

describe('row groups', () => {
  it('end at their rows, and at their bytes, and lose nothing', () => {
    const given = Array.from({ length: 100 }, (_, i) => ({ output: `{"v":"${'x'.repeat(i)}"}` }));
    const groups = (limits: Partial<TableLimits>) =>
      parquetMetadata(fileOf(write(pagesOf(given), { ...TABLE_LIMITS, ...limits }))).row_groups.map(
        ({ num_rows: rows }) => Number(rows),
      );
    expect(groups({})).toEqual([100]);
    expect(groups({ rowsMax: 30 })).toEqual([30, 30, 30, 10]);
    const bySize = groups({ sizeMax: 1_000 });
    expect(bySize.length).toBeGreaterThan(4);
    expect(bySize.reduce((a, b) => a + b)).toBe(100);
  });

  it('any results can be read back', async () => {
    const output = fc.oneof(
      fc.record({
        n: fc.double({ noDefaultInfinity: true, noNaN: true }),
        t: fc.string({ unit: 'grapheme' }),
      }),
      fc.record({ i: fc.integer(), b: fc.boolean() }),
      fc.constant(null),
    );
    const limits = { ...TABLE_LIMITS, rowsMax: 7 };
    await fc.assert(
      fc.asyncProperty(fc.array(output, { maxLength: 40 }), async (outputs) => {
        const { rows } = await read(
          outputs.map((one) => ({ output: JSON.stringify(one) })),
          limits,
        );
        const back = rows.map((row) => {
          const fields = Object.entries(row).filter(
            ([name, cell]) => name.startsWith('output.') && cell !== null,
          );
          return Object.fromEntries(
            fields.map(([name, cell]) => [
              name.slice(7),
              Number.isNaN(Number(cell)) || typeof cell !== 'bigint' ? cell : Number(cell),
            ]),
          );
        });
        expect(back).toEqual(outputs.map((one) => JSON.parse(JSON.stringify(one ?? {}))));
      }),
      { numRuns: 30 },
    );
  });
});

describe('between the two passes', () => {
  const three = [{ output: '{"v":1}' }, { output: '{"v":2}' }, { output: '{"v":3}' }].map(toLine);

  it('results that came since are left out, also where they would not fit the types', async () => {
    const table = new ResultTable();
    table.observe(`${three[0]}${three[2]}`);
    const late = toLine({ output: '"text"' }, 1);
    const file = Buffer.concat([table.write(`${three[0]}${late}${three[2]}`), table.finish()]);
    const rows = await parquetReadObjects({ file: fileOf(file) });
    expect(rows.map((row) => [row.index, row['output.v']])).toEqual([
      [0, 1n],
      [2, 3n],
    ]);
  });

  it('results that went away make no file', () => {
    const table = new ResultTable();
    table.observe(three.join(''));
    table.write(`${three[0]}${three[1]}`);
    expect(() => table.finish()).toThrow('3 results were observed, but 2 written');
  });
});
