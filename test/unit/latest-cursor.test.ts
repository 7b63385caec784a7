import { createLatestCursor } from '../../src/api/realtime/latest-cursor';

function setUp(read: () => Promise<number>) {
  const clock = { ms: 1_000 };
  let reads = 0;
  const latest = createLatestCursor({
    read: () => {
      reads++;
      return read();
    },
    now: () => clock.ms,
    freshMs: 20,
    waitMs: 30,
    restMs: 1_000,
  });
  return { latest, clock, reads: () => reads };
}

describe('the latest cursor', () => {
  test('is read once for all who ask together, and for those who ask soon after nobody waits', async () => {
    let cursor = 0;
    const { latest, clock, reads } = setUp(async () => ++cursor);
    const together = await Promise.all(Array.from({ length: 100 }, async () => latest.get()));
    expect(new Set(together)).toEqual(new Set([1]));
    clock.ms += 19;
    expect(latest.get()).toBe(1);
    expect(reads()).toBe(1);
    clock.ms += 1;
    expect(await latest.get()).toBe(2);
  });

  test('counts its age from before it was read, since it may be as old as that', async () => {
    let answer: (cursor: number) => void = () => undefined;
    const { latest, clock } = setUp(() => new Promise((resolve) => (answer = resolve)));
    const first = latest.get();
    clock.ms += 15;
    answer(7);
    expect(await first).toBe(7);
    expect(latest.get()).toBe(7);
    clock.ms += 5;
    expect(latest.get()).toBeInstanceOf(Promise);
  });

  test('is none while it cannot be read, and then nobody asks for a while', async () => {
    let away = true;
    const { latest, clock, reads } = setUp(async () => {
      if (away) throw new Error('away');
      return 5;
    });
    expect(await latest.get()).toBeUndefined();
    clock.ms += 999;
    expect(latest.get()).toBeUndefined();
    expect(reads()).toBe(1);
    away = false;
    clock.ms += 1;
    expect(await latest.get()).toBe(5);
  });

  test('is none where reading hangs or throws at once, and readers go on', async () => {
    const hanging = setUp(() => new Promise(() => undefined));
    expect(await hanging.latest.get()).toBeUndefined();
    const throwing = setUp(() => {
      throw new Error('at once');
    });
    expect(await throwing.latest.get()).toBeUndefined();
    throwing.clock.ms += 1_000;
    await throwing.latest.get();
    expect(throwing.reads()).toBe(2);
  });
});
