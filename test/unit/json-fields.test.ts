import fc from 'fast-check';
import { eachField, stringValue } from '../../src/domain/json-fields';

function fieldsOf(text: string): [string, string][] {
  const fields: [string, string][] = [];
  eachField(text, (name, value) => fields.push([name, value]));
  return fields;
}

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t'), maxLength: 3 });

it('fields come as they were written, whatever their values and the white space around them', () => {
  const text = fc.string({ unit: 'binary', maxLength: 8 });
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    text,
    fc.constantFrom('"', '\\', '\\"', '}', '{"', ',', ']'),
  );
  const json = value.map((one) => JSON.stringify(one));
  const spaced = fc
    .tuple(json, fc.nat(3))
    .map(([one, indent]) => JSON.stringify(JSON.parse(one), null, indent));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(text, spaced)),
      fc.array(space, { minLength: 4, maxLength: 4 }),
      (fields, spaces) => {
        const [a, b, c, d] = spaces;
        const written = fields.map(([name, one]) => `${a}${JSON.stringify(name)}${b}:${c}${one}${d}`);
        expect(fieldsOf(`${d}{${a}${written.join(',')}${b}}${c}`)).toEqual(fields);
      },
    ),
  );
});

it('numbers keep their digits, and a name that occurs twice comes twice', () => {
  expect(fieldsOf('{"a":1.0,"b":12345678901234567890 ,"a":-0}')).toEqual([
    ['a', '1.0'],
    ['b', '12345678901234567890'],
    ['a', '-0'],
  ]);
  expect(fieldsOf('{}')).toEqual([]);
});

it('a string says what it was made of', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(stringValue(JSON.stringify(text))).toBe(text);
    }),
  );
});
