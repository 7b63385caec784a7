import fc from 'fast-check';
import type { Json } from '../../src/domain/batch/job';
import { jsonAt, onOneLine } from '../../src/domain/json-slice';

type Path = (string | number)[];

/** JSON text with spaces and line breaks wherever they may stand. */
function spaced(value: unknown, space: () => string): string {
  const around = (text: string): string => `${space()}${text}${space()}`;
  if (Array.isArray(value))
    return around(`[${value.map((entry) => spaced(entry, space)).join(',') || space()}]`);
  if (typeof value !== 'object' || value === null) return around(JSON.stringify(value));
  const fields = Object.entries(value).map(
    ([name, inner]) => `${around(JSON.stringify(name))}:${spaced(inner, space)}`,
  );
  return around(`{${fields.join(',') || space()}}`);
}

/** Each place of a value, and one beside each. */
function places(value: unknown, path: Path = []): { path: Path; value: unknown }[] {
  const here = { path, value };
  if (typeof value !== 'object' || value === null) {
    return [here, { path: [...path, 0], value: undefined }, { path: [...path, 'a'], value: undefined }];
  }
  const names = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const inner = names.flatMap((name) => places((value as never)[name], [...path, name]));
  return [
    here,
    ...inner,
    { path: [...path, names.length], value: undefined },
    { path: [...path, 'no\n"such'], value: undefined },
  ];
}

const spaces = fc.array(fc.constantFrom('', ' ', '\n', '\r\n', '\t', ' \n  '), {
  minLength: 1,
  maxLength: 7,
});

test('finds the text of each value of any JSON, however it is spaced, and nothing where there is nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 4 }), spaces, (value, pattern) => {
      let at = 0;
      const text = spaced(value, () => pattern[at++ % pattern.length] ?? '');
      for (const place of places(JSON.parse(text))) {
        const found = jsonAt(text, place.path);
        expect(found === undefined ? undefined : (JSON.parse(found) as Json)).toEqual(place.value);
        expect(found?.trim()).toBe(found);
      }
    }),
  );
});

test.each<[string, Path, string | undefined]>([
  ['{"id": 12345678901234567890 }', ['id'], '12345678901234567890'],
  ['{"a":[1.10, 1e2,-0]}', ['a', 0], '1.10'],
  ['{"a":1,"a":{"b":2}}', ['a', 'b'], '2'],
  ['{"a":{"b":2},"a":1}', ['a', 'b'], undefined],
  ['{"\\u0061":1}', ['a'], '1'],
  ['{"a\\"]}":"}\\\\\\"","b":2}', ['b'], '2'],
  ['[[],[[]],{}]', [1, 0], '[]'],
  [' 7 ', [], '7'],
  ['{"__proto__":1}', ['__proto__'], '1'],
  ['{"a":1}', ['toString'], undefined],
])('of %s at %j there is %s', (text, path, expected) => {
  expect(jsonAt(text, path)).toBe(expected);
});

test('on one line JSON is the same JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), spaces, (value, pattern) => {
      let at = 0;
      const text = spaced(value, () => pattern[at++ % pattern.length] ?? '');
      const line = onOneLine(text);
      expect(line).not.toMatch(/[\r\n]/);
      expect(JSON.parse(line)).toEqual(JSON.parse(text));
    }),
  );
});
