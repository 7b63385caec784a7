import {
  type ApiStanding,
  type HalfRun,
  type Run,
  comparisonLines,
  goalsOf,
} from '../../../bench/api/report';
import { unknownKeys } from '../../../bench/api/unknown-keys';
import { isWellFormedKey } from '../../../src/domain/key/key-format';

function run(perSecond: number, p95 = 5): Run {
  return { requests: 10, perSecond, latencyMs: { p50: 1, p95, p99: 50 }, cpuMicros: null };
}

const standing = (letter: 'a' | 'b' | 'c', ...rates: number[]): ApiStanding => ({
  letter,
  title: letter,
  runs: rates.map((rate) => run(rate)),
});

describe('the api bench', () => {
  it('holds medians against each other and against the goals', () => {
    const standings = [standing('a', 900, 1_000, 9_000), standing('c', 1, 710, 800)];
    const half: HalfRun = { ...run(355, 21), rate: 355 };
    expect(goalsOf(standings, half)).toEqual({ ratio: true, half: false, bar: true });
    expect(goalsOf([standing('a', 1_000), standing('c', 690)], null)).toEqual({ ratio: false, bar: true });
    expect(goalsOf([standing('c', 100)], null)).toEqual({ bar: false });
    const lines = comparisonLines(standings, half).join('\n');
    expect(lines).toContain('c/a = 0.71');
    expect(lines).toContain('one process of c does 42,600, 4.3 times as many');
  });

  it('makes unknown keys that look right and differ', () => {
    const keys = unknownKeys(200);
    expect(keys.filter(isWellFormedKey)).toEqual(keys);
    expect(new Set(keys).size).toBe(200);
  });
});
