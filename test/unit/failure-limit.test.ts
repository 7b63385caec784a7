import { createFailureLimit } from '../../src/platform/redis/failure-limit';
import { createMemoryPoints } from '../../src/platform/redis/memory-points';

const PER_MINUTE = 3;
const ADDRESS = '192.0.2.7';

function open(perMinute = PER_MINUTE) {
  const state = { now: 1_000_000 };
  const points = createMemoryPoints({ crew: () => ({ processes: 1, rank: 0 }) });
  const limit = createFailureLimit({ points, perMinute, ticks: () => state.now });
  const fail = async (times: number, address = ADDRESS): Promise<void> => {
    for (let n = 0; n < times; n++) await limit.failed(address);
  };
  /** @returns how many of them were allowed */
  const lookUp = async (times: number, address = ADDRESS): Promise<number> => {
    let allowed = 0;
    for (let n = 0; n < times; n++) if ((await limit.lookUpBlocked(address)) === undefined) allowed++;
    return allowed;
  };
  return { limit, state, fail, lookUp };
}

test('an address that is not blocked looks up what it likes', async () => {
  const { limit, fail, lookUp } = open();
  await fail(PER_MINUTE - 1);
  expect(await limit.blocked(ADDRESS)).toBeUndefined();
  expect(await lookUp(1_000)).toBe(1_000);
});

describe('an address that is blocked', () => {
  test('has ten look-ups at once, then one a second', async () => {
    const { limit, state, fail, lookUp } = open();
    await fail(PER_MINUTE);
    expect(await limit.blocked(ADDRESS)).toBeGreaterThan(50);
    expect(await lookUp(1_000)).toBe(10);
    expect(await limit.lookUpBlocked(ADDRESS)).toBe(1);
    state.now += 999;
    expect(await lookUp(1_000)).toBe(0);
    state.now += 1;
    expect(await lookUp(1_000)).toBe(1);
    state.now += 5_000;
    expect(await lookUp(1_000)).toBe(5);
    state.now += 30_000;
    expect(await lookUp(1_000)).toBe(10);
  });

  test('has no more of them for failing on', async () => {
    const { fail, lookUp } = open();
    await fail(PER_MINUTE);
    await lookUp(1_000);
    await fail(10);
    expect(await lookUp(1_000)).toBe(0);
  });

  test('leaves others theirs; a network of IPv6 is one', async () => {
    const { fail, lookUp } = open();
    await fail(PER_MINUTE, '2001:db8::1');
    expect(await lookUp(1_000, '2001:db8::2')).toBe(10);
    expect(await lookUp(1_000, '2001:db8::3')).toBe(0);
    expect(await lookUp(1_000, '2001:db8:0:1::1')).toBe(1_000);
  });

  test('is free again when the minute is over', async () => {
    const { limit, state, fail, lookUp } = open();
    await fail(PER_MINUTE);
    await lookUp(1_000);
    state.now += 60_000;
    expect(await lookUp(1_000)).toBe(1_000);
    expect(await limit.blocked(ADDRESS)).toBeUndefined();
  });
});

test('without a limit nobody is blocked', async () => {
  const { limit, fail, lookUp } = open(0);
  await fail(1_000);
  expect(await limit.blocked(ADDRESS)).toBeUndefined();
  expect(await lookUp(1_000)).toBe(1_000);
});
