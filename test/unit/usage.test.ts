import fc from 'fast-check';
import { createRequestMeter, type MeterStore, type RequestMeter } from '../../src/api/usage/request-meter';
import { quotaEvent, crossings } from '../../src/domain/usage/quota';
import { dayEnd, dayOf, daysIn, eachDay, monthEnd, monthOf, startOf } from '../../src/domain/usage/period';
import { byDay, type RequestCount, totalsIn } from '../../src/domain/usage/usage';

const moments = fc.date({ min: new Date('1970-01-01'), max: new Date('2199-12-31'), noInvalidDate: true });

describe('days and months', () => {
  test('every moment lies in its day and in its month, and the next one begins where this one ends', () => {
    fc.assert(
      fc.property(moments, (at) => {
        const day = dayOf(at);
        expect(startOf(day) <= at && at < dayEnd(day)).toBe(true);
        const month = monthOf(at);
        expect(startOf(month) <= at && at < monthEnd(month)).toBe(true);
        expect(monthEnd(day)).toEqual(monthEnd(month));
        const next = monthEnd(month);
        expect(monthOf(next)).toBe(dayOf(next));
        expect(monthOf(new Date(next.getTime() - 1))).toBe(month);
        expect(daysIn({ from: month, to: dayOf(new Date(next.getTime() - 1)) })).toBe(
          new Date(Date.UTC(next.getUTCFullYear(), next.getUTCMonth(), 0)).getUTCDate(),
        );
      }),
    );
  });

  test('a range has each of its days once, in order', () => {
    fc.assert(
      fc.property(moments, fc.integer({ min: 0, max: 800 }), (at, more) => {
        const range = { from: dayOf(at), to: dayOf(new Date(at.getTime() + more * 86_400_000)) };
        const days = eachDay(range);
        expect(days).toHaveLength(more + 1);
        expect(days[0]).toBe(range.from);
        expect(days.at(-1)).toBe(range.to);
        expect([...new Set(days)].sort()).toEqual(days);
      }),
    );
  });

  test('a range that ends before it begins has no days', () => {
    expect(daysIn({ from: '2026-03-02', to: '2026-03-01' })).toBe(0);
    expect(daysIn({ from: '2026-03-02', to: '2026-01-01' })).toBe(0);
  });
});

describe('quotas', () => {
  test('however use grows, a warning and an end are told once each, at 80 % and at 100 %', () => {
    const steps = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000 }), steps, (allowed, grows) => {
        let used = 0;
        const told: string[] = [];
        for (const more of grows) {
          if (used + more > allowed) continue;
          const events = crossings(allowed, { before: used, after: used + more });
          expect(events.includes('quota.warning')).toBe(
            used * 10 < allowed * 8 && (used + more) * 10 >= allowed * 8,
          );
          expect(events.includes('quota.exceeded')).toBe(used < allowed && used + more === allowed);
          told.push(...events);
          used += more;
        }
        expect(new Set(told).size).toBe(told.length);
      }),
    );
  });

  test('an event tells whose quota of what period it is', () => {
    const use = {
      ...{ tenantId: 'tnt_x', quota: 'items_per_month' as const, used: 80, allowed: 100 },
      ...{ periodStart: '2026-12-01', periodEnd: monthEnd('2026-12-01') },
    };
    const event = quotaEvent('quota.warning', use);
    expect(JSON.parse(event.data)).toEqual({
      tenant_id: 'tnt_x',
      quota: 'items_per_month',
      used: 80,
      allowed: 100,
      period_start: '2026-12-01T00:00:00.000Z',
      period_end: '2027-01-01T00:00:00.000Z',
    });
    expect(event).toMatchObject({ subject: 'tnt_x', type: 'quota.warning' });
    expect(quotaEvent('quota.warning', { ...use, used: 90 }).occurrence).toBe(event.occurrence);
    expect(quotaEvent('quota.warning', { ...use, allowed: 200 }).occurrence).not.toBe(event.occurrence);
    expect(quotaEvent('quota.warning', { ...use, periodStart: '2026-11-01' }).occurrence).not.toBe(
      event.occurrence,
    );
  });
});

describe('totals', () => {
  const count = (day: string, metric: 'requests' | 'refused' | 'items', amount: number, policy = '') => ({
    ...{ day, metric, amount, policy },
  });
  const counts = [
    count('2026-02-28', 'requests', 1),
    count('2026-03-01', 'requests', 2),
    count('2026-03-01', 'items', 30),
    count('2026-03-02', 'refused', 4, 'minute'),
    count('2026-03-02', 'refused', 5, 'items-month'),
    count('2026-03-03', 'refused', 6, 'minute'),
  ];

  test('are of the days asked for alone, refusals by policy', () => {
    expect(totalsIn(counts, { from: '2026-03-01', to: '2026-03-03' })).toEqual({
      requests: 2,
      items: 30,
      refused: { minute: 10, 'items-month': 5 },
    });
  });

  test('by day have the days without use too', () => {
    expect(byDay(counts, { from: '2026-03-02', to: '2026-03-04' })).toEqual([
      { date: '2026-03-02', requests: 0, items: 0, refused: { minute: 4, 'items-month': 5 } },
      { date: '2026-03-03', requests: 0, items: 0, refused: { minute: 6 } },
      { date: '2026-03-04', requests: 0, items: 0, refused: {} },
    ]);
  });
});

describe('the request meter', () => {
  const who = (n: number) => ({ tenantId: 'tnt_a', keyId: `key_${n}` });

  /** What a database does that the tests decide of: takes a batch, refuses it, or takes it and loses its answer. */
  interface Ledger extends MeterStore {
    behaves: ('takes' | 'refuses' | 'loses the answer' | 'is at it still')[];
    batches: Map<number, readonly RequestCount[]>;
    used: Map<string, Date>[];
  }

  function ledger(): Ledger {
    const store: Ledger = {
      behaves: [],
      batches: new Map(),
      used: [],
      append: async (no, counts) => {
        const how = store.behaves.shift() ?? 'takes';
        if (how === 'refuses') throw new Error('away');
        if (how === 'is at it still') return false;
        const known = store.batches.get(no);
        if (known !== undefined) expect(counts).toEqual(known);
        else store.batches.set(no, counts);
        if (how === 'loses the answer') throw new Error('connection lost');
        return true;
      },
      keysUsed: async (lastUsed) => {
        if ((store.behaves[0] ?? 'takes') === 'refuses') throw new Error('away');
        store.used.push(new Map(lastUsed));
      },
    };
    return store;
  }

  const log = { info: () => undefined, warn: () => undefined };
  const meterOf = (store: MeterStore, clock: { ms: number }): RequestMeter =>
    createRequestMeter({ store, nowMs: () => clock.ms, log });
  const total = (store: Ledger, metric: string): number =>
    [...store.batches.values()]
      .flat()
      .filter((count) => count.metric === metric)
      .reduce((sum, { amount }) => sum + amount, 0);

  test('whatever becomes of the answers, each request is written once, and batches are numbered without holes', async () => {
    const behaviours = fc.constantFrom('takes', 'refuses', 'loses the answer', 'is at it still');
    const turns = fc.array(fc.tuple(fc.array(fc.integer({ min: 0, max: 3 })), behaviours), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(turns, async (rounds) => {
        const store = ledger();
        const meter = meterOf(store, { ms: 0 });
        let served = 0;
        let refused = 0;
        for (const [keys, how] of rounds) {
          for (const key of keys) {
            if (key === 3) meter.count(who(0), 'minute');
            else meter.count(who(key), undefined);
            if (key === 3) refused += 1;
            else served += 1;
          }
          store.behaves = [how] as Ledger['behaves'];
          await meter.flush();
        }
        store.behaves = [];
        await meter.flush();
        expect([total(store, 'requests'), total(store, 'refused')]).toEqual([served, refused]);
        expect([...store.batches.keys()]).toEqual(
          Array.from({ length: store.batches.size }, (_, n) => n + 1),
        );
      }),
    );
  });

  test('a request counts on the day on which it came, also where it is written on the next', async () => {
    const store = ledger();
    const clock = { ms: Date.parse('2026-12-31T23:59:59.999Z') };
    const meter = meterOf(store, clock);
    meter.count(who(1), undefined);
    clock.ms += 1;
    meter.count(who(1), undefined);
    meter.count(who(1), undefined);
    await meter.flush();
    expect(store.batches.get(1)?.map(({ day, amount }) => [day, amount])).toEqual([
      ['2026-12-31', 1],
      ['2027-01-01', 2],
    ]);
  });

  test('nothing is written where nothing was counted', async () => {
    const store = ledger();
    const meter = meterOf(store, { ms: 0 });
    await meter.flush();
    await meter.close();
    expect([store.batches.size, store.used]).toEqual([0, []]);
  });

  test('when keys were used last is written once a minute, to the minute, and at the end', async () => {
    const store = ledger();
    const clock = { ms: Date.parse('2026-03-01T12:00:30Z') };
    const meter = meterOf(store, clock);
    meter.count(who(1), undefined);
    await meter.flush();
    expect(store.used).toEqual([]);
    clock.ms += 45_000;
    meter.count(who(2), undefined);
    await meter.flush();
    clock.ms += 15_000;
    store.behaves = ['refuses'];
    await meter.flush();
    expect(store.used).toEqual([]);
    store.behaves = [];
    meter.count(who(2), 'minute');
    await meter.close();
    expect(store.used.map((used) => [...used])).toEqual([
      [
        ['key_1', new Date('2026-03-01T12:00:00Z')],
        ['key_2', new Date('2026-03-01T12:01:00Z')],
      ],
    ]);
  });
});
