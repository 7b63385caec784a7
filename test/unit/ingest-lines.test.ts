import fc from 'fast-check';
import { indexOfText } from '../../src/domain/batch/custom-id';
import { readInlineItems } from '../../src/api/batch/inline-items';
import { ItemLines } from '../../src/platform/postgres/item-lines';
import { NO_LIMITS } from '../support/principal';

it('every index finds its line again, however lines and items drift apart', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 60 }), (steps) => {
      const lines = new ItemLines();
      let line = 0;
      const wanted = steps.map((step) => (line += step));
      for (const each of wanted) lines.add(each);
      expect(wanted.map((_, index) => lines.lineOf(index))).toEqual(wanted);
      expect(lines.lineOf(wanted.length)).toBeUndefined();
    }),
  );
});

it('an endless drift forgets the oldest lines and tells no wrong one', () => {
  const lines = new ItemLines();
  let line = 0;
  const wanted: number[] = [];
  for (let index = 0; index < 1_000_000; index++) wanted.push((line += (index * index) % 7 === 0 ? 3 : 1));
  for (const each of wanted) lines.add(each);
  for (const index of [0, 1, 1000, 500_000, 900_000, 999_999]) {
    expect([undefined, wanted[index]]).toContain(lines.lineOf(index));
  }
  expect(lines.lineOf(999_999)).toBe(wanted[999_999]);
});

it.each([
  ['0', 0],
  ['2147483647', 2_147_483_647],
  ['2147483648', undefined],
  ['01', undefined],
  ['-1', undefined],
  ['1.0', undefined],
  ['٣', undefined],
])('the custom_id %j reads as the index %j', (text, index) => {
  expect(indexOfText(text)).toBe(index);
});

it('inline items keep their exact text wherever the body has them', () => {
  const body =
    '{"name":"items","x":{"items":[9]}, "items" : [ 1.0 , {"input": 12345678901234567890 ,"custom_id":"b"},"]"] }';
  const items = readInlineItems(Buffer.from(body), { limits: NO_LIMITS });
  expect(items.map(({ customId, input }) => [customId, input])).toEqual([
    [null, '1.0'],
    ['b', '12345678901234567890'],
    [null, '"]"'],
  ]);
});
