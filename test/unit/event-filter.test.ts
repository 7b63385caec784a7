import { isAppError } from '../../src/domain/errors';
import {
  FILTER_CHARS_MAX,
  FILTER_PIECE_CHARS_MAX,
  FILTER_TESTS_MAX,
  readFilter,
} from '../../src/domain/events/filter';
import { compileFilter } from '../../src/domain/events/filter-jsonpath';
import { toJsonTree } from '../../src/domain/json-tree';

function findings(filter: unknown): Record<string, string> {
  try {
    readFilter(typeof filter === 'string' ? filter : JSON.stringify(filter));
    return {};
  } catch (error) {
    if (!isAppError(error)) throw error;
    expect(error.code).toBe('invalid_filter');
    return Object.fromEntries((error.errors ?? []).map(({ pointer, detail }) => [pointer, detail]));
  }
}

describe('a filter that cannot be used is refused at the place of the mistake', () => {
  test.each([
    ['a field that events do not have', { payload: 1 }, '/filter/payload'],
    ['an operator that there is not', { data: { a: { $regex: 'x' } } }, '/filter/data/a/$regex'],
    ['a name of JavaScript as an operator', { data: { $constructor: 1 } }, '/filter/data/$constructor'],
    ['a comparison with an object', { data: { a: { $gt: {} } } }, '/filter/data/a/$gt'],
    ['a comparison with nothing', { data: { a: { $lte: null } } }, '/filter/data/a/$lte'],
    ['$in of no list', { data: { a: { $in: 'a' } } }, '/filter/data/a/$in'],
    ['$in of an empty list', { data: { a: { $nin: [] } } }, '/filter/data/a/$nin'],
    ['$exist of a number', { data: { a: { $exist: 1 } } }, '/filter/data/a/$exist'],
    ['an empty text', { data: { a: { $startsWith: '' } } }, '/filter/data/a/$startsWith'],
    [
      'a piece that is too long',
      { data: { a: { $contains: 'x'.repeat(FILTER_PIECE_CHARS_MAX + 1) } } },
      '/filter/data/a/$contains',
    ],
    ['$or without an array', { $or: {} }, '/filter/$or'],
    ['$or of nothing', { data: { $or: [] } }, '/filter/data/$or'],
    ['an object that says nothing', { data: {} }, '/filter/data'],
    ['a comparison of the whole', { $eq: 1 }, '/filter/$eq'],
    ['a number beyond what PostgreSQL holds', '{"data":{"a":1e99999}}', '/filter/data/a'],
    ['names with the signs of pointers', { data: { 'a/b~c': { $x: 1 } } }, '/filter/data/a~1b~0c/$x'],
    ['no object', [1], '/filter'],
    ['more text than allowed', { type: 'x'.repeat(FILTER_CHARS_MAX) }, '/filter'],
  ])('%s', (_what, filter, pointer) => {
    expect(Object.keys(findings(filter))).toEqual([pointer]);
  });

  test('all mistakes are told at once', () => {
    expect(Object.keys(findings({ nothing: 1, data: { a: { $foo: 1 }, b: { $in: [[]] } } }))).toEqual([
      '/filter/nothing',
      '/filter/data/a/$foo',
      '/filter/data/b/$in',
    ]);
  });

  test('what is nested too deep', () => {
    let deep: unknown = 1;
    for (let i = 0; i < 40; i++) deep = { a: deep };
    expect(Object.values(findings({ data: deep }))[0]).toMatch(/deeper than/);
    for (let i = 0; i < 40; i++) deep = [deep];
    expect(Object.values(findings({ data: { $eq: deep } }))[0]).toMatch(/too much/);
  });

  test('more tests than allowed, told of once', () => {
    const many = Object.fromEntries(Array.from({ length: 3 * FILTER_TESTS_MAX }, (_, i) => [`f${i}`, i]));
    expect(Object.keys(findings({ data: many }))).toHaveLength(1);
  });
});

test('an empty filter passes everything, and so has no predicate', () => {
  expect(compileFilter('{}')).toBeNull();
});

test('names and texts stay inside of their quotes', () => {
  const nasty = '" ? (@ == 1) || $."';
  const predicate = compileFilter(
    JSON.stringify({ data: { [nasty]: { $in: [nasty], $startsWith: nasty } } }),
  );
  expect(predicate?.replaceAll(JSON.stringify(nasty), '')).not.toContain(nasty);
});

test('the tree of a JSON text is what the text says, with the digits of its numbers', () => {
  expect(
    toJsonTree(' {"a": [1.0, 12345678901234567890, {"b":"\\u00e9"}], "a ":true, "n":null, "e":[ ] } '),
  ).toEqual({
    type: 'object',
    fields: new Map<string, unknown>([
      [
        'a',
        {
          type: 'array',
          elements: [
            { type: 'number', text: '1.0' },
            { type: 'number', text: '12345678901234567890' },
            { type: 'object', fields: new Map([['b', { type: 'string', value: 'é' }]]) },
          ],
        },
      ],
      ['a ', { type: 'boolean', value: true }],
      ['n', { type: 'null' }],
      ['e', { type: 'array', elements: [] }],
    ]),
  });
});
