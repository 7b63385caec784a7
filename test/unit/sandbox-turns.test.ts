import fc from 'fast-check';
import { createLeastRecent } from '../../src/platform/sandbox/least-recent';
import { createTurns, type Turns } from '../../src/platform/sandbox/turns';

type Key = [outer: string, inner: string];
const key: fc.Arbitrary<Key> = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', '3'));

function takeAll<T>(turns: Turns<T>): T[] {
  const entries: T[] = [];
  for (let entry = turns.take(); entry !== undefined; entry = turns.take()) entries.push(entry);
  return entries;
}

test('every entry comes out once, those of one key in the order they came', () => {
  fc.assert(
    fc.property(fc.array(key), (keys) => {
      const turns = createTurns<{ key: string; no: number }>();
      const entries = keys.map(([outer, inner], no) => ({ key: outer + inner, no }));
      entries.forEach((entry, i) => turns.add(keys[i] as Key, entry));
      expect(turns.size).toBe(entries.length);
      const taken = takeAll(turns);
      expect(taken.toSorted((a, b) => a.no - b.no)).toEqual(entries);
      for (const one of new Set(entries.map((entry) => entry.key))) {
        const numbers = taken.filter((entry) => entry.key === one).map(({ no }) => no);
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      }
      expect([turns.size, turns.take()]).toEqual([0, undefined]);
    }),
  );
});

test('between two turns of a tenant each other waiting tenant has one, and so do the jobs within a tenant', () => {
  fc.assert(
    fc.property(fc.array(key, { minLength: 1, maxLength: 60 }), (keys) => {
      const turns = createTurns<Key>();
      for (const one of keys) turns.add(one, one);
      const taken = takeAll(turns);
      expectTakingTurns(taken.map(([outer]) => outer));
      for (const tenant of ['a', 'b', 'c']) {
        expectTakingTurns(taken.filter(([outer]) => outer === tenant).map(([, inner]) => inner));
      }
    }),
  );
});

/** Whoever still has an entry further on appears between any two of another. */
function expectTakingTurns(sequence: readonly string[]): void {
  for (const [i, name] of sequence.entries()) {
    const again = sequence.indexOf(name, i + 1);
    if (again < 0) continue;
    const between = sequence.slice(i + 1, again);
    const waiting = new Set(sequence.slice(again + 1).filter((other) => other !== name));
    for (const other of waiting) expect(between).toContain(other);
  }
}

test('a hog that asks again after each turn does not come twice before another', () => {
  const turns = createTurns<string>();
  for (let i = 0; i < 5; i++) turns.add(['hog', `${i}`], 'hog');
  expect(turns.take()).toBe('hog');
  turns.add(['hog', '0'], 'hog');
  turns.add(['mouse', '0'], 'mouse');
  expect([turns.take(), turns.take()]).toContain('mouse');
});

test('what was asked for longest ago is forgotten first', () => {
  const cache = createLeastRecent<string>(2);
  const made: string[] = [];
  const get = (key: string): string => cache.get(key, () => (made.push(key), key.toUpperCase()));
  expect(['a', 'b', 'a', 'c', 'a', 'b'].map(get)).toEqual(['A', 'B', 'A', 'C', 'A', 'B']);
  expect(made).toEqual(['a', 'b', 'c', 'b']);
});

test('of what is kept by the length of its keys, as many go as the last one needs', () => {
  const cache = createLeastRecent<string>(10, 8);
  const made: string[] = [];
  const get = (key: string): string => cache.get(key, () => (made.push(key), key));
  for (const key of [
    'aaa',
    'bbb',
    'aaa',
    'cc',
    'aaa',
    'bbb',
    'dddddd',
    'bbb',
    'eeeeeeeeeeee',
    'eeeeeeeeeeee',
  ])
    get(key);
  expect(made).toEqual(['aaa', 'bbb', 'cc', 'dddddd', 'bbb', 'eeeeeeeeeeee']);
});
