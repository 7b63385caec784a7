import { createRateStore, type RateStore } from '../../src/platform/postgres/rate-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { insertTenant, openTestDatabase } from '../support/database';
import { queuedJob } from '../support/jobs';

describe('the pace of a job', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let rates: RateStore;
  let ref: { tenantId: string; jobId: string };

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    rates = createRateStore(db);
  });
  afterAll(() => close());
  beforeEach(async () => {
    ref = await queuedJob(db, { tenantId: await insertTenant(db), inputs: ['1'] });
  });

  test('reservations of many at once lie one after the other and never closer than the interval', async () => {
    const startedAt = performance.now();
    const made = await Promise.all(Array.from({ length: 10 }, () => rates.reserve(ref, 2, 20)));
    const tookMs = performance.now() - startedAt;
    const starts = made.map(({ items, waitMs }) => ({ items, waitMs })).sort((a, b) => a.waitMs - b.waitMs);
    expect(starts.every(({ items }) => items === 2)).toBe(true);
    // Ten times 40 ms from the first on, as seen at moments that are at most `tookMs` apart.
    const spread = (starts.at(-1)?.waitMs ?? 0) - (starts[0]?.waitMs ?? 0);
    expect(spread).toBeGreaterThan(9 * 40 - tookMs - 1);
    expect(spread).toBeLessThan(9 * 40 + tookMs + 1);
  });

  test('nothing is reserved beyond a second ahead; the answer says when to ask again', async () => {
    await rates.reserve(ref, 1, 5_000);
    const later = await rates.reserve(ref, 1, 5_000);
    expect(later.items).toBe(0);
    expect(later.waitMs).toBeGreaterThan(3_000);
    expect(later.waitMs).toBeLessThanOrEqual(5_000);
  });

  test('time that passed unused is not made up for', async () => {
    await rates.reserve(ref, 1, 1);
    const [first, second] = [await rates.reserve(ref, 1, 900), await rates.reserve(ref, 1, 900)];
    expect(first.waitMs).toBeLessThan(450);
    expect(second.items === 0 || second.waitMs > 450).toBe(true);
  });

  test('a quicker pace does not wait for what a slower one has reserved', async () => {
    await rates.reserve(ref, 1, 100_000);
    const quick = await rates.reserve(ref, 10, 1);
    expect(quick.items).toBe(10);
    expect(quick.waitMs).toBeLessThan(2_000);
  });
});
