import fc from 'fast-check';
import {
  absorb,
  covers,
  endWindow,
  openAccount,
  putBack,
  refresh,
  refuses,
  noteEmpty,
  spendHeld,
  stateOf,
  unusedPoints,
} from '../../src/domain/limit/account';
import { createMemoryPoints } from '../../src/platform/redis/memory-points';
import { addressGroup } from '../../src/domain/limit/address-group';
import { EXACT_BELOW, leaseSize, pointsAhead, shareOf } from '../../src/domain/limit/lease';
import { noNeed, noteNeed, recentNeed } from '../../src/domain/limit/need';
import { type LimitPolicy, policiesOf } from '../../src/domain/limit/policy';
import {
  rateLimitField,
  rateLimitPolicyField,
  createPolicyFields,
} from '../../src/domain/limit/rate-limit-fields';
import { dayWindow, retryAfterSeconds } from '../../src/domain/limit/window';
import { knownKey, NO_LIMITS } from '../support/principal';

const MINUTE: LimitPolicy = { name: 'minute', subject: 'tnt_1', quota: 60, windowSeconds: 60 };

describe('the policies of who asks', () => {
  test('minutes stand before days, the key before its tenant, and no limit is no policy', () => {
    const plan = { name: 'free', limits: { ...NO_LIMITS, requestsPerMinute: 60, requestsPerDay: 5_000 } };
    const who = knownKey({ plan, limits: { requestsPerMinute: 5, requestsPerDay: 50 } });
    expect(policiesOf(who)).toEqual([
      { name: 'key-minute', subject: who.keyId, quota: 5, windowSeconds: 60 },
      { name: 'minute', subject: who.tenantId, quota: 60, windowSeconds: 60 },
      { name: 'key-day', subject: who.keyId, quota: 50, windowSeconds: 86_400 },
      { name: 'day', subject: who.tenantId, quota: 5_000, windowSeconds: 86_400 },
    ]);
    expect(policiesOf(knownKey())).toEqual([]);
  });
});

describe('shares and leases', () => {
  test('the shares of all processes make the quota, and differ by one at most', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), fc.integer({ min: 1, max: 200 }), (quota, processes) => {
        const shares = Array.from({ length: processes }, (_, rank) => shareOf(quota, { processes, rank }));
        expect(shares.reduce((sum, share) => sum + share, 0)).toBe(quota);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('a lease covers who waits, and beyond that no more than a part of what is left and what is needed', () => {
    const wish = fc.record({
      quota: fc.integer({ min: 1, max: 10_000_000 }),
      remaining: fc.option(fc.nat(10_000_000), { nil: undefined }),
      processes: fc.integer({ min: 1, max: 50 }),
      demand: fc.integer({ min: 1, max: 5_000 }),
      recentNeed: fc.nat(20_000),
    });
    fc.assert(
      fc.property(wish, (asked) => {
        const size = leaseSize(asked);
        expect(size).toBeGreaterThanOrEqual(asked.demand);
        if (asked.quota < EXACT_BELOW) expect(size).toBe(asked.demand);
        if (size > asked.demand) {
          expect(size).toBeLessThanOrEqual(Math.floor((asked.remaining ?? 0) / (8 * asked.processes)));
          expect(size).toBeLessThanOrEqual(asked.recentNeed);
          expect(size).toBeLessThanOrEqual(500);
        }
      }),
    );
  });

  test('ahead of need no more is taken than fills a lease up, and nothing while enough is held', () => {
    const wish = fc.record({
      quota: fc.integer({ min: 1, max: 10_000_000 }),
      remaining: fc.option(fc.nat(10_000_000), { nil: undefined }),
      processes: fc.integer({ min: 1, max: 50 }),
      recentNeed: fc.nat(20_000),
    });
    fc.assert(
      fc.property(wish, fc.nat(600), (asked, held) => {
        const size = leaseSize({ ...asked, demand: 0 });
        const ahead = pointsAhead(asked, held);
        if (ahead === 0) return;
        expect(ahead + held).toBe(size);
        expect(held).toBeLessThan(size / 2);
        expect(asked.quota).toBeGreaterThanOrEqual(EXACT_BELOW);
      }),
    );
    const busy = { quota: 12_000, remaining: 12_000, processes: 1, recentNeed: 600 };
    expect(pointsAhead(busy, 100)).toBe(400);
    expect(pointsAhead(busy, 400)).toBe(0);
    expect(pointsAhead({ ...busy, recentNeed: 3 }, 0)).toBe(0);
  });

  test('what was needed of late is of the last tenth of a second or the one before, and then forgotten', () => {
    const need = noNeed();
    noteNeed(need, 7, 1_000);
    noteNeed(need, 5, 1_050);
    expect(recentNeed(need, 1_099)).toBe(12);
    expect(recentNeed(need, 1_150)).toBe(12);
    noteNeed(need, 20, 1_160);
    expect(recentNeed(need, 1_170)).toBe(20);
    expect(recentNeed(need, 2_000)).toBe(0);
  });
});

describe('an account', () => {
  const taken = { given: 3, remaining: 10, endsInMs: 60_000, ceiling: 60, insured: false };
  const opened = (change: Partial<typeof taken> = {}) => {
    const account = openAccount(MINUTE);
    absorb(account, { ...taken, ...change }, { askedAt: 1_000, now: 1_010 });
    return account;
  };

  test('spends what it holds and shows what is left of all', () => {
    const account = opened();
    spendHeld(account, 1, 1_020);
    expect(stateOf(account, 1_020)).toEqual({ ...MINUTE, remaining: 12, endsInMs: 59_990 });
    expect(covers(account, 2)).toBe(true);
    expect(covers(account, 3)).toBe(false);
  });

  test('nothing that it holds outlives the window', () => {
    const account = opened();
    refresh(account, MINUTE, 61_000);
    expect(account.held).toBe(0);
    const spent = spendHeld(opened(), 1, 1_020);
    putBack(account, spent, 61_005);
    expect(account.held).toBe(0);
    absorb(account, { ...taken, given: 1 }, { askedAt: 61_000, now: 61_020 });
    expect(account.held).toBe(1);
  });

  test('a count that began anew before the window was over is told what was let through in it', () => {
    const account = opened();
    spendHeld(account, 2, 1_020);
    absorb(account, { ...taken, given: 1 }, { askedAt: 40_000, now: 40_020 });
    expect(account).toMatchObject({ window: 2, held: 0, debt: 1, spent: 2 });
    absorb(account, { ...taken, given: 5 }, { askedAt: 40_020, now: 40_030 });
    expect(account).toMatchObject({ window: 2, held: 4, debt: 0 });
  });

  test('a window that was over between its two thinkable ends is no lost one: nothing of it is owed', () => {
    const account = openAccount(MINUTE);
    absorb(account, taken, { askedAt: 1_000, now: 1_010 });
    spendHeld(account, 2, 1_020);
    absorb(account, { ...taken, given: 5 }, { askedAt: 61_002, now: 61_008 });
    expect(account).toMatchObject({ held: 5, debt: 0, spent: 0 });
  });

  test('what was let through while the shared count was away is paid before anything else', () => {
    const account = opened();
    absorb(
      account,
      { ...taken, given: 4, endsInMs: 50_000, insured: true },
      { askedAt: 11_000, now: 11_005 },
    );
    expect(account).toMatchObject({ window: 1, held: 7, debt: 4 });
    for (let i = 0; i < 7; i++) spendHeld(account, 1, 11_010);
    absorb(account, { ...taken, given: 5, endsInMs: 40_000 }, { askedAt: 21_000, now: 21_005 });
    expect(account).toMatchObject({ window: 1, held: 1, debt: 0 });
    refresh(account, MINUTE, 61_100);
    expect(account.debt).toBe(0);
  });

  test('what is put back is held again, in its own window only', () => {
    const account = opened();
    const spent = spendHeld(account, 2, 1_020);
    putBack(account, spent, 1_030);
    expect(account.held).toBe(3);
    const late = spendHeld(account, 2, 1_040);
    absorb(account, taken, { askedAt: 61_500, now: 61_510 });
    putBack(account, late, 61_520);
    expect(account.held).toBe(3);
  });

  test('once empty it refuses without asking, until a second is over, the window is, or the figure changes', () => {
    const account = opened({ given: 0, remaining: 0 });
    noteEmpty(account, 1_010);
    expect(refuses(account, 1, 1_500)).toBe(true);
    expect(refuses(account, 1, 2_010)).toBe(false);
    noteEmpty(account, 60_800);
    expect(refuses(account, 1, 61_005)).toBe(true);
    refresh(account, { ...MINUTE, quota: 600 }, 61_005);
    expect(refuses(account, 1, 61_006)).toBe(false);
  });

  test('a window that the calendar ends is over at once', () => {
    const account = opened();
    noteEmpty(account, 1_010);
    endWindow(account);
    expect(stateOf(account, 1_020)).toBeUndefined();
    expect(account.held).toBe(0);
    expect(refuses(account, 1, 1_020)).toBe(false);
  });

  test('a cost above the quota is taken for the quota', () => {
    const account = opened({ given: 60 });
    expect(covers(account, 1_000)).toBe(true);
    expect(spendHeld(account, 1_000, 1_020).points).toBe(60);
    expect(covers(account, 1)).toBe(false);
  });

  test('what nobody needed is handed back once, but not what this process gave itself', () => {
    const account = opened();
    expect(unusedPoints(account, 1_100, 250)).toBe(0);
    expect(unusedPoints(account, 1_300, 250)).toBe(3);
    expect(unusedPoints(account, 1_400, 250)).toBe(0);
    expect(stateOf(account, 1_400)?.remaining).toBe(13);
    expect(unusedPoints(opened({ insured: true }), 1_300, 250)).toBe(0);
  });
});

describe('the RateLimit fields of draft 11', () => {
  test('are written as structured fields', () => {
    const day = { name: 'day', subject: 'tnt_1', quota: 5_000, windowSeconds: 86_400 } as const;
    expect(rateLimitPolicyField([MINUTE, day])).toBe('"minute";q=60;w=60,"day";q=5000;w=86400');
    const remembered = createPolicyFields();
    const policies = [MINUTE, day];
    for (const list of [policies, policies, [day], policies]) {
      expect(remembered(list)).toBe(rateLimitPolicyField(list));
    }
    const states = [
      { ...MINUTE, remaining: 59, endsInMs: 59_001 },
      { ...day, remaining: 4_999, endsInMs: 0 },
    ];
    expect(rateLimitField(states)).toBe('"minute";r=59;t=60,"day";r=4999;t=1');
  });

  test('Retry-After never points before the end of the window, and little behind it', () => {
    const window = fc.constantFrom(60, 86_400);
    fc.assert(
      fc.property(
        window,
        fc.nat(86_400_000),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (w, ms, chance) => {
          const endsInMs = Math.min(ms, w * 1000);
          const seconds = retryAfterSeconds({ endsInMs, windowSeconds: w }, chance);
          expect(Number.isInteger(seconds)).toBe(true);
          expect(seconds * 1000).toBeGreaterThanOrEqual(endsInMs);
          expect(seconds).toBeLessThanOrEqual(Math.ceil(endsInMs / 1000) + 1 + Math.min(w * 0.05, 30));
        },
      ),
    );
  });

  test('a day is one of the calendar in UTC', () => {
    expect(dayWindow(Date.parse('2026-03-01T23:59:59.500Z'))).toEqual({ name: '2026-03-01', endsInMs: 500 });
    expect(dayWindow(Date.parse('2026-03-02T00:00:00Z'))).toEqual({
      name: '2026-03-02',
      endsInMs: 86_400_000,
    });
  });
});

describe('the address that failed attempts count for', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['', 'unknown'],
  ])('of %s is %s', (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});

test('what insures a count gives no more than its share to many who ask at once', async () => {
  const points = createMemoryPoints({ crew: () => ({ processes: 2, rank: 0 }) });
  const window = { policy: 'failures', key: '203.0.113.9', quota: 60, lastsMs: 60_000, calendar: false };
  const taken = await Promise.all(Array.from({ length: 500 }, () => points.take(window, 1)));
  expect(taken.reduce((sum, { given }) => sum + given, 0)).toBe(30);
});
