import { randomBytes } from 'node:crypto';
import type { Principal } from '../../src/domain/key/scopes';
import { limitedKey, startLimiter, type TestLimiter } from '../support/limiter';
import { testServers } from '../support/servers';
import { until } from '../support/wait';

let prefix: string;
let one: TestLimiter;
let other: TestLimiter;

beforeEach(async () => {
  prefix = `test:${randomBytes(6).toString('hex')}:`;
  const { redisUrl: url } = testServers();
  one = await startLimiter({ url, prefix });
  other = await startLimiter({ url, prefix, crew: { processes: 2, rank: 1 } });
});
afterEach(() => Promise.all([one.close(), other.close()]));

/** Asks until it is refused for good, `width` at once. @returns what was let through, by its cost */
async function hammer(
  limiter: TestLimiter,
  who: Principal,
  { costs = [1], width = 20, most = Infinity } = {},
) {
  let passed = 0;
  let asked = 0;
  const refusedBy = new Set<string>();
  const ask = async (): Promise<void> => {
    for (let refused = 0; refused < 5 && asked < most; ) {
      const cost = costs[asked++ % costs.length] ?? 1;
      const verdict = await limiter.spend(who, cost);
      if (verdict.refusedBy === undefined) passed += cost;
      else {
        refused++;
        refusedBy.add(verdict.refusedBy.name);
      }
      if (asked % 100 === 0) await new Promise(setImmediate);
    }
  };
  await Promise.all(Array.from({ length: width }, ask));
  return { passed, refusedBy: [...refusedBy] };
}

async function used(name: string, who: string): Promise<number> {
  return Number(await one.redis.get(`${prefix}limit:${name}:${who}`));
}

describe('limits of two processes on one Redis', () => {
  test.each([60, 600, 12_000])('%d a minute are as many in all, exactly', async (minute) => {
    const who = limitedKey({ minute });
    const [first, second] = await Promise.all([hammer(one, who), hammer(other, who)]);
    expect(first.passed + second.passed).toBe(minute);
    expect(await used('minute', who.tenantId)).toBe(minute);
  });

  test.each([
    { minute: 60, costs: [7] },
    { minute: 600, costs: [10, 1, 3] },
    { minute: 12_000, costs: [5, 1, 10] },
  ])(
    'costs of $costs never sum to more than $minute, nor to less by more than what fits no more',
    async (wish) => {
      const who = limitedKey(wish);
      const { costs } = wish;
      const both = await Promise.all([one, other].map((limiter) => hammer(limiter, who, { costs })));
      const passed = both.reduce((sum, each) => sum + each.passed, 0);
      expect(passed).toBeLessThanOrEqual(wish.minute);
      // Each may be left with points that its next request is too dear for.
      expect(passed).toBeGreaterThan(wish.minute - 2 * Math.max(...costs));
    },
  );

  test('a large limit is used up in far fewer calls than requests', async () => {
    const who = limitedKey({ minute: 12_000 });
    const { passed } = await hammer(one, who, { width: 10 });
    expect(passed).toBe(12_000);
    expect(one.calls).toBeLessThan(1_500);
  });

  test('where many come, the next points are there before anyone waits for them', async () => {
    const who = limitedKey({ minute: 1_000_000 });
    await hammer(one, who, { most: 2_000 });
    const waitedPerCall = async (): Promise<number> => {
      const before = one.calls;
      let waited = 0;
      for (let asked = 1; asked <= 5_000; asked++) {
        const verdict = one.spend(who, 1);
        if (verdict instanceof Promise) waited++;
        await verdict;
        if (asked % 50 > 0) continue;
        // As long as a call takes: what was taken ahead is there then, if it was taken at all.
        await one.redis.ping();
        await new Promise(setImmediate);
      }
      return waited / (one.calls - before);
    };
    // Where nothing is taken ahead, each call has somebody who waits for it. A machine that stood still may spoil a round.
    const rounds: number[] = [];
    while (rounds.length < 5 && !rounds.some((ratio) => ratio < 0.5)) rounds.push(await waitedPerCall());
    expect(Math.min(...rounds)).toBeLessThan(0.5);
  });

  test('an account that gave way to others hands back what it held, and nothing is spent from it any more', async () => {
    const small = await startLimiter({ url: testServers().redisUrl, prefix, accountsMax: 2 });
    const who = limitedKey({ minute: 12_000 });
    await hammer(small, who, { most: 2_000 });
    expect(small.spend(who, 1)).not.toBeInstanceOf(Promise);
    for (const tenantId of ['tnt_1', 'tnt_2']) await small.spend(limitedKey({ minute: 60 }, { tenantId }), 1);
    const verdict = small.spend(who, 1);
    expect(verdict).toBeInstanceOf(Promise);
    await verdict;
    await until('the rest to be handed back', async () => (await used('minute', who.tenantId)) === 2_002);
    await small.close();
  });

  test('who waits for one count shares a call', async () => {
    const who = limitedKey({ minute: 600 });
    await Promise.all(Array.from({ length: 100 }, async () => one.spend(who, 1)));
    expect(one.calls).toBe(2);
    expect(await used('minute', who.tenantId)).toBe(100);
  });

  test('what a process has leased and does not need, another can use', async () => {
    const who = limitedKey({ minute: 12_000 });
    await hammer(one, who, { most: 2_000 });
    expect(await used('minute', who.tenantId)).toBeGreaterThan(2_000);
    await until('the rest to be handed back', async () => (await used('minute', who.tenantId)) === 2_000);
    expect((await hammer(other, who)).passed).toBe(10_000);
  });

  test('what is held is handed back when the process ends', async () => {
    const who = limitedKey({ minute: 12_000 });
    await hammer(one, who, { most: 2_000 });
    expect(await used('minute', who.tenantId)).toBeGreaterThan(2_000);
    const left = one;
    one = await startLimiter({ url: testServers().redisUrl, prefix });
    await left.close();
    expect(await used('minute', who.tenantId)).toBe(2_000);
  });

  test('what is handed back too late does not get into the next window', async () => {
    const who = limitedKey({ minute: 12_000 });
    await hammer(one, who, { most: 2_000 });
    const key = `${prefix}limit:minute:${who.tenantId}`;
    const leased = (await used('minute', who.tenantId)) - 2_000;
    expect(leased).toBeGreaterThan(0);
    // A window that began while the points were held: it has more time left than theirs.
    await one.redis.set(key, 50, 'EX', 120);
    await one.close();
    expect(Number(await other.redis.get(key))).toBe(50);
    one = await startLimiter({ url: testServers().redisUrl, prefix });
  });

  test('what was refused is refused again without a call, until the window ends or a second is over', async () => {
    const who = limitedKey({ minute: 60 });
    await hammer(one, who);
    const before = one.calls;
    const startedAt = performance.now();
    for (let i = 0; i < 1_000; i++) expect((await one.spend(who, 1)).refusedBy?.name).toBe('minute');
    expect(one.calls - before).toBeLessThanOrEqual(1 + (performance.now() - startedAt) / 1_000);
  });

  test('a window begins with its first request, and when it is over there is a new one', async () => {
    const who = limitedKey({ minute: 60 });
    await hammer(one, who);
    const refused = await one.spend(who, 1);
    expect(refused.states).toEqual([
      expect.objectContaining({ name: 'minute', quota: 60, remaining: 0, windowSeconds: 60 }),
    ]);
    expect(refused.refusedBy?.endsInMs).toBeGreaterThan(0);
    expect(refused.refusedBy?.endsInMs).toBeLessThanOrEqual(60_000);
    await one.redis.del(`${prefix}limit:minute:${who.tenantId}`);
    const fresh = await until('the count to be asked again', async () => {
      const verdict = await other.spend(who, 1);
      return verdict.refusedBy === undefined && verdict;
    });
    expect(fresh.states[0]?.remaining).toBe(59);
  });
});

describe('several limits at once', () => {
  test('what the minute refuses is not counted in the day', async () => {
    const who = limitedKey({ minute: 60, day: 5_000 });
    const { passed, refusedBy } = await hammer(one, who, { width: 10, most: 200 });
    expect({ passed, refusedBy }).toEqual({ passed: 60, refusedBy: ['minute'] });
    const day = new Date().toISOString().slice(0, 10);
    await until('what the day leased to be handed back', async () => {
      return (await used('day', `${who.tenantId}:${day}`)) === 60;
    });
  });

  test('what the day refuses is given back to the minute', async () => {
    const who = limitedKey({ minute: 60, day: 20 });
    const { passed, refusedBy } = await hammer(one, who, { width: 7, most: 50 });
    expect({ passed, refusedBy }).toEqual({ passed: 20, refusedBy: ['day'] });
    await until('it', async () => (await used('minute', who.tenantId)) === 20);
  });

  test('a key with a limit of its own stops at it, and leaves the rest of the minute to the others', async () => {
    const who = limitedKey({ minute: 60 }, { limits: { requestsPerMinute: 5, requestsPerDay: null } });
    const sibling = limitedKey({ minute: 60 }, { tenantId: who.tenantId });
    expect(await hammer(one, who, { width: 1 })).toEqual({ passed: 5, refusedBy: ['key-minute'] });
    expect(await hammer(other, sibling, { width: 1 })).toEqual({ passed: 55, refusedBy: ['minute'] });
  });

  test('a day is one of the calendar: with the next there is a whole quota again', async () => {
    let shift = 0;
    const limiter = await startLimiter({ url: testServers().redisUrl, prefix, shiftMs: () => shift });
    try {
      const who = limitedKey({ day: 10 });
      expect((await hammer(limiter, who, { width: 1 })).passed).toBe(10);
      const { refusedBy } = await limiter.spend(who, 1);
      const midnight = 86_400_000 - (Date.now() % 86_400_000);
      expect(Math.abs((refusedBy?.endsInMs ?? 0) - midnight)).toBeLessThan(5_000);
      shift = 86_400_000;
      expect((await limiter.look(who))[0]).toMatchObject({ used: 0, remaining: 10 });
    } finally {
      await limiter.close();
    }
  });

  test('a changed figure keeps what was counted', async () => {
    const who = limitedKey({ minute: 60 });
    await hammer(one, who);
    const more = { ...limitedKey({ minute: 100 }), tenantId: who.tenantId };
    expect((await hammer(one, more)).passed).toBe(40);
    const less = { ...limitedKey({ minute: 30 }), tenantId: who.tenantId };
    expect((await hammer(other, less)).passed).toBe(0);
    expect(await used('minute', who.tenantId)).toBe(100);
  });

  test('a cost above the quota takes all of it, and is refused when something is gone', async () => {
    const who = limitedKey({ minute: 4 });
    expect((await one.spend(who, 10)).refusedBy).toBeUndefined();
    expect((await one.spend(who, 10)).refusedBy?.name).toBe('minute');
    const another = limitedKey({ minute: 4 });
    await one.spend(another, 1);
    expect((await other.spend(another, 10)).refusedBy?.name).toBe('minute');
  });

  test('looking spends nothing and tells what is used over all processes', async () => {
    const who = limitedKey({ minute: 60, day: 5_000 });
    expect(await one.look(who)).toMatchObject([
      { name: 'minute', used: 0, remaining: 60, endsInMs: undefined },
      { name: 'day', used: 0, remaining: 5_000 },
    ]);
    await other.spend(who, 3);
    await one.spend(who, 1);
    for (const limiter of [one, other]) {
      expect(await limiter.look(who)).toMatchObject([
        { name: 'minute', used: 4, remaining: 56 },
        { name: 'day', used: 4, remaining: 4_996 },
      ]);
    }
  });
});

describe('attempts with keys that are not accepted', () => {
  test('are counted by address over all processes; who has failed too often waits for the end of the minute', async () => {
    const address = '203.0.113.9';
    for (let i = 0; i < 3; i++) await one.failures.failed(address);
    expect(await one.failures.blocked(address)).toBeUndefined();
    for (let i = 0; i < 2; i++) await other.failures.failed(address);
    const seconds = (await other.failures.blocked(address)) ?? 0;
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    await one.failures.failed(address);
    expect(await one.failures.blocked(address)).toBeGreaterThan(0);
    expect(await one.failures.blocked('203.0.113.10')).toBeUndefined();
  });

  test('of one IPv6 network count together', async () => {
    for (let i = 1; i <= 5; i++) await one.failures.failed(`2001:db8::${i}`);
    expect(await one.failures.blocked('2001:db8::ffff')).toBeGreaterThan(0);
    expect(await one.failures.blocked('2001:db8:0:1::1')).toBeUndefined();
  });
});
