import { chooseEntrants } from '../../../bench/batch/contenders';
import { ratios, type Standing } from '../../../bench/batch/report';
import { createTally, itemBytes, itemOf, itemsOf } from '../../../bench/contenders/items';
import { readFrameOptions, readOptions, wholeNumber } from '../../../bench/frame/options';

describe('options of a bench', () => {
  it('are parted into those of every bench and its own', () => {
    const args = ['--items', '5', '--set', 'A_B=c=d', '--out=there', '--scale', '--set=E='];
    expect(readFrameOptions(args)).toEqual({
      frame: { outFolder: 'there', variables: { A_B: 'c=d', E: '' } },
      rest: ['--items', '5', '--scale'],
    });
  });

  it.each([
    ['a value that is missing', ['--out'], '--out needs a value'],
    ['a variable without a value', ['--set', 'NAME'], '--set takes NAME=VALUE'],
  ])('are refused for %s', (_what, args, reason) => {
    expect(() => readFrameOptions(args)).toThrow(reason);
  });

  it('that nobody knows are refused by name', () => {
    expect(() => readOptions(['--item', '5'], { items: { type: 'string' } })).toThrow("'--item'");
  });

  it.each(['0', '-1', '1.5', '1e3', '', 'many'])('take no number of %j', (text) => {
    expect(() => wholeNumber('items', text, 7)).toThrow('--items must be a whole number');
  });

  it('have a usual number', () => {
    expect(wholeNumber('items', undefined, 7)).toBe(7);
    expect(wholeNumber('items', '100000', 7)).toBe(100_000);
  });
});

describe('entrants', () => {
  it('are named by letters, with the versions that are installed', () => {
    expect(chooseEntrants('c,a').map(({ title }) => title)).toEqual([
      expect.stringMatching(/^BullMQ 6\.\d+\.\d+$/),
      'Millrace',
    ]);
    expect(chooseEntrants(undefined).map(({ letter }) => letter)).toEqual(['a', 'b', 'c']);
    expect(() => chooseEntrants('a,z')).toThrow('not "z"');
  });

  it('are compared by their medians', () => {
    const standing = (letter: string, median: number): Standing => ({
      letter,
      entry: letter,
      title: letter,
      runs: [],
      itemsPerSecond: { median, min: 0, max: 0, spread: 0 },
    });
    expect(ratios([standing('a', 10), standing('b', 80), standing('c', 40)])).toEqual({
      'c/a': 4,
      'c/b': 0.5,
    });
    expect(ratios([standing('a', 10)])).toEqual({});
  });
});

describe('items', () => {
  it('have the same size and differ', () => {
    for (const n of [0, 9, 10, 99_999, 999_999]) {
      expect(JSON.stringify(itemOf(n))).toHaveLength(itemBytes);
    }
    expect(new Set(itemsOf(500).map((item) => JSON.stringify(item))).size).toBe(500);
  });

  it('that came back all, once each and unchanged, are counted', () => {
    const tally = createTally(3);
    for (const n of [2, 0, 1]) tally.add(itemOf(n));
    expect(tally.total()).toBe(3);
  });

  it.each([
    ['twice', [itemOf(0), itemOf(0)], 'item 0 came back twice'],
    ['changed', [{ ...itemOf(0), text: 'x' }], 'is none of the items'],
    ['from nowhere', [itemOf(3)], 'is none of the items'],
    ['as nothing', [null], 'is none of the items'],
    ['in part', [itemOf(0), itemOf(2)], '2 of 3 items came back'],
  ])('that came back %s are refused', (_how, items, reason) => {
    const tally = createTally(3);
    expect(() => {
      for (const item of items) tally.add(item);
      tally.total();
    }).toThrow(reason);
  });
});
