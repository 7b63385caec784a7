import fc from 'fast-check';
import { NotJson, TooLarge, toExactJson } from '../../src/platform/sandbox/exact-json';

const LIMIT = 1_000_000;

test('what is JSON becomes the text that JSON.stringify gives', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(toExactJson(value, LIMIT)).toBe(JSON.stringify(value));
    }),
  );
});

test('never refuses what fits, and always what is more than so long', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 200 }), (value, limit) => {
      const { length } = JSON.stringify(value);
      if (length <= limit) expect(toExactJson(value, limit)).toHaveLength(length);
    }),
  );
  expect(() => toExactJson('x'.repeat(100), 101)).toThrow(TooLarge);
});

test('undefined is null, and a sequence is a plain array', () => {
  expect(toExactJson(undefined, LIMIT)).toBe('null');
  expect(toExactJson([undefined, 1], LIMIT)).toBe('[null,1]');
  expect(toExactJson({ a: undefined, b: 1 }, LIMIT)).toBe('{"b":1}');
  expect(toExactJson(Object.assign([1, 2], { sequence: true, keepSingleton: true }), LIMIT)).toBe('[1,2]');
});

test.each<[string, unknown]>([
  ['a function', () => 1],
  ['a lambda of the library', { _jsonata_lambda: true }],
  ['a function within', [{ a: { _jsonata_function: true } }]],
  ['infinity', 1 / 0],
  ['not a number', [Number.NaN]],
])('%s is no JSON', (_name, value) => {
  expect(() => toExactJson(value, LIMIT)).toThrow(NotJson);
});

test('a value within itself is told; the same value twice is not that', () => {
  const circle: unknown[] = [];
  circle.push({ circle });
  expect(() => toExactJson(circle, LIMIT)).toThrow('contains itself');
  const shared = { a: 1 };
  expect(toExactJson([shared, shared], LIMIT)).toBe('[{"a":1},{"a":1}]');
});

test('one small value shared so often that its text would never end is too large at once', () => {
  let value: unknown = 1;
  for (let i = 0; i < 60; i++) value = [value, value];
  expect(() => toExactJson(value, LIMIT)).toThrow(TooLarge);
});
