/** Chance that can be repeated: a failure names its seed, and MILLRACE_TEST_SEED brings it back. */
import { randomInt } from 'node:crypto';

export interface Chance {
  /** a whole number, `from` <= n < `to` */
  between(from: number, to: number): number;
  pick<T>(things: readonly T[]): T;
}

const SEEDS = 2 ** 32;

export async function withChance(work: (chance: Chance) => Promise<void>): Promise<void> {
  const seed = Number(process.env.MILLRACE_TEST_SEED ?? randomInt(SEEDS));
  try {
    await work(createChance(seed));
  } catch (error) {
    throw new Error(`with MILLRACE_TEST_SEED=${seed}: ${String(error)}`, { cause: error });
  }
}

/** Mulberry32 (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
export function createChance(seed: number): Chance {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / SEEDS;
  };
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from));
  return { between, pick: (things) => things[between(0, things.length)] as (typeof things)[number] };
}
