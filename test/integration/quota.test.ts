import fc from 'fast-check';
import { DEFAULT_OPTIONS, type JobRef } from '../../src/domain/batch/job';
import type { Outcome } from '../../src/domain/batch/status';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { decodeId } from '../../src/domain/ids';
import { monthEnd, monthOf, startOf } from '../../src/domain/usage/period';
import { newId } from '../../src/platform/clock';
import { createChunkStore, type ChunkStore } from '../../src/platform/postgres/chunk-store';
import { deriveItems } from '../../src/platform/postgres/derive-items';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import { statement } from '../../src/platform/postgres/statement';
import { createTransact, type TransactStores } from '../../src/platform/postgres/stores';
import { insertTenant, openTestDatabase } from '../support/database';
import { itemsPlan, quotaEvents, reservedOf, usedOf } from '../support/usage';

const ok = (index: number): ItemOutcome => ({
  ...{ index, status: 'succeeded', output: String(index), error: null, attempts: 1, durationMs: 1 },
});
const bad = (index: number): ItemOutcome => ({
  ...ok(index),
  ...{ status: 'failed', output: null, error: { code: 'handler_failed', message: 'x' } },
});

const JOB_MONTH = statement('test.job_month', 'update jobs set quota_month = $2 where id = $1');
const MONTHS = statement<{ month: string; items: string }>(
  'test.months',
  'select month::text as month, items from quota_months where tenant_id = $1 order by month',
);
const STATUS = statement<{ status: string; key_id: string | null; quota_items: number | null }>(
  'test.job_row',
  'select status, key_id, quota_items from jobs where id = $1',
);
const EVENTS = statement<{ type: string }>(
  'test.job_events',
  'select type from events where subject = $1 order by seq',
);

describe('the quota of items per month', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let transact: TransactStores;
  let runs: RunStore;
  let chunks: ChunkStore;
  let plans = 0;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    transact = createTransact(db);
    runs = createRunStore(db, createEventStore);
    chunks = createChunkStore(db);
  });
  afterAll(() => close());

  /** On a plan of its own, which the test may change by its name. */
  const tenantWith = async (itemsPerMonth: number | null): Promise<{ tenantId: string; plan: string }> => {
    const plan = await itemsPlan(db, `items-${plans++}`, itemsPerMonth);
    return { tenantId: await insertTenant(db, plan), plan };
  };

  /** A job that is filled and waits to be started. */
  const filledJob = async (tenantId: string, total: number, keyId: string | null = null): Promise<JobRef> => {
    const ref = { tenantId, jobId: newId('job') };
    await transact(async ({ jobs, items }) => {
      await jobs.insert({
        ...{ id: ref.jobId, tenantId, keyId, name: null, handler: 'echo', params: null, reduce: null },
        ...{ options: DEFAULT_OPTIONS, metadata: {} },
      });
      const upload = await jobs.openUpload(ref);
      const all = Array.from({ length: total }, (_, i) => ({
        customId: null,
        input: String(i),
        line: i + 1,
      }));
      await items.insert({ ...ref, upload }, all);
      await jobs.finishUpload({ ...ref, upload, total });
    });
    return ref;
  };
  const start = (ref: JobRef) => transact(({ jobs }) => jobs.start(ref));
  const rowOf = async (ref: JobRef) => (await db.run(STATUS, [decodeId('job', ref.jobId)]))[0];

  /** Runs a started job as a worker would, as far as it comes. */
  const run = async (ref: JobRef, outcomes: readonly ItemOutcome[], outcome: Outcome): Promise<void> => {
    await runs.begin(ref);
    const chunk = { ...ref, no: 0 };
    const hold = await chunks.take(chunk);
    if (hold === undefined || 'status' in hold) throw new Error('not taken');
    await chunks.write({ ...chunk, epoch: hold.epoch }, outcomes, 0);
    await runs.finalize(ref, outcome);
    await runs.finish(ref, { outcome, summary: null });
  };

  test('passes what makes it exactly full, and refuses one item more, which can be started once there is room', async () => {
    const { tenantId, plan } = await tenantWith(10);
    await start(await filledJob(tenantId, 7));
    await start(await filledJob(tenantId, 3));
    const one = await filledJob(tenantId, 1);
    const end = monthEnd(monthOf(new Date())).getTime();
    const error = await start(one).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'quota_exceeded', status: 429, violatedPolicies: ['items-month'] });
    const { retryAfterSeconds = 0 } = error as { retryAfterSeconds?: number };
    expect(Math.abs(retryAfterSeconds - (end - Date.now()) / 1000)).toBeLessThan(60);
    expect(await rowOf(one)).toMatchObject({ status: 'created', quota_items: null });
    expect(await reservedOf(db, tenantId)).toBe(10);
    await itemsPlan(db, plan, 11);
    expect(await start(one)).toMatchObject({ status: 'queued' });
    expect(await reservedOf(db, tenantId)).toBe(11);
  });

  test('refuses a job that is larger than a whole month, and all jobs where a plan allows no item', async () => {
    const { tenantId } = await tenantWith(10);
    await expect(start(await filledJob(tenantId, 11))).rejects.toMatchObject({ code: 'quota_exceeded' });
    const { tenantId: none } = await tenantWith(0);
    await expect(start(await filledJob(none, 1))).rejects.toMatchObject({ code: 'quota_exceeded' });
    expect([await reservedOf(db, tenantId), await reservedOf(db, none)]).toEqual([0, 0]);
  });

  test('is counted also where the plan has no limit, for the day on which it gets one', async () => {
    const { tenantId, plan } = await tenantWith(null);
    await start(await filledJob(tenantId, 50));
    expect(await reservedOf(db, tenantId)).toBe(50);
    expect(await quotaEvents(db, tenantId)).toEqual([]);
    await itemsPlan(db, plan, 50);
    await expect(start(await filledJob(tenantId, 1))).rejects.toMatchObject({ code: 'quota_exceeded' });
  });

  test('holds for 50 jobs that are started at once, and starting one twice reserves it once', async () => {
    const { tenantId } = await tenantWith(100);
    const jobs = await Promise.all(Array.from({ length: 50 }, () => filledJob(tenantId, 3)));
    const answers = await Promise.allSettled([...jobs, ...jobs].map(start));
    const started = answers.filter(({ status }) => status === 'fulfilled');
    const rows = await Promise.all(jobs.map(rowOf));
    expect(rows.filter((row) => row?.status === 'queued')).toHaveLength(33);
    expect(started).toHaveLength(66);
    expect(await reservedOf(db, tenantId)).toBe(99);
    expect((await quotaEvents(db, tenantId)).map(({ type }) => type).sort()).toEqual([
      'quota.exceeded',
      'quota.warning',
    ]);
  });

  test('leaves nothing of a job that comes with its items and is refused, and no event but its own', async () => {
    const { tenantId } = await tenantWith(2);
    const ref = { tenantId, jobId: newId('job') };
    const made = transact(async ({ jobs, items }) => {
      await jobs.insert({
        ...{ id: ref.jobId, tenantId, keyId: null, name: null, handler: 'echo', params: null, reduce: null },
        ...{ options: DEFAULT_OPTIONS, metadata: {} },
      });
      const upload = await jobs.openUpload(ref);
      await items.insert({ ...ref, upload }, Array(3).fill({ customId: null, input: '1', line: 1 }));
      await jobs.finishUpload({ ...ref, upload, total: 3 });
      return jobs.start(ref);
    });
    await expect(made).rejects.toMatchObject({ code: 'quota_exceeded' });
    expect(await rowOf(ref)).toBeUndefined();
    expect(await db.run(EVENTS, [ref.jobId])).toEqual([]);
    expect((await quotaEvents(db, tenantId)).map(({ type }) => type)).toEqual(['quota.exceeded']);
  });

  describe('gives back', () => {
    test('what a job that was cancelled under way had not attempted, once, however often its end is written', async () => {
      const { tenantId } = await tenantWith(20);
      const ref = await filledJob(tenantId, 20);
      await start(ref);
      await run(ref, [ok(0), ok(1), bad(2)], 'cancelled');
      expect(await reservedOf(db, tenantId)).toBe(3);
      await runs.finish(ref, { outcome: 'cancelled', summary: null });
      await runs.finish(ref, { outcome: 'cancelled', summary: null });
      expect(await reservedOf(db, tenantId)).toBe(3);
      expect(await usedOf(db, tenantId)).toBe(3);
      await start(await filledJob(tenantId, 17));
    });

    test('what was left when more items failed than the job tolerates, and when its time was over', async () => {
      const { tenantId } = await tenantWith(100);
      for (const outcome of ['tolerance_exceeded', 'expired'] as const) {
        const before = await reservedOf(db, tenantId);
        const ref = await filledJob(tenantId, 10);
        await start(ref);
        await run(ref, [bad(0), bad(1)], outcome);
        expect(await reservedOf(db, tenantId)).toBe(before + 2);
      }
    });

    test('all of a job that was cancelled before it began', async () => {
      const { tenantId } = await tenantWith(10);
      const ref = await filledJob(tenantId, 10);
      await start(ref);
      await transact(({ jobs }) => jobs.cancel(ref));
      await runs.finalize(ref, 'cancelled');
      await runs.finish(ref, { outcome: 'cancelled', summary: null });
      expect(await reservedOf(db, tenantId)).toBe(0);
    });

    test('nothing of a job that was never started', async () => {
      const { tenantId } = await tenantWith(10);
      await start(await filledJob(tenantId, 4));
      const [cancelled, deleted] = [await filledJob(tenantId, 3), await filledJob(tenantId, 3)];
      await transact(({ jobs }) => jobs.cancel(cancelled));
      await transact(({ jobs }) => jobs.remove(deleted));
      expect(await reservedOf(db, tenantId)).toBe(4);
    });

    test('to the month that it came from', async () => {
      const { tenantId } = await tenantWith(10);
      const ref = await filledJob(tenantId, 10);
      await start(ref);
      const month = monthOf(new Date());
      const lastMonth = monthOf(new Date(startOf(month).getTime() - 1));
      await db.run(JOB_MONTH, [decodeId('job', ref.jobId), lastMonth]);
      await db.run(statement('test.month', 'insert into quota_months values ($1, $2, 25)'), [
        decodeId('tenant', tenantId),
        lastMonth,
      ]);
      await run(ref, [ok(0)], 'cancelled');
      expect(await db.run(MONTHS, [decodeId('tenant', tenantId)])).toEqual([
        { month: lastMonth, items: '16' },
        { month, items: '10' },
      ]);
    });
  });

  test('a job that runs comes to its end, whatever becomes of the plan', async () => {
    const { tenantId, plan } = await tenantWith(10);
    const ref = await filledJob(tenantId, 4);
    await start(ref);
    await itemsPlan(db, plan, 1);
    await run(ref, [ok(0), ok(1), ok(2), ok(3)], 'drained');
    expect(await rowOf(ref)).toMatchObject({ status: 'completed' });
    expect(await reservedOf(db, tenantId)).toBe(4);
  });

  describe('a retry', () => {
    const retry = (ref: JobRef, keyId: string | null = null) =>
      transact(({ jobs }) => jobs.retry(ref, { id: newId('job'), keyId, options: DEFAULT_OPTIONS }));
    const endedJob = async (tenantId: string): Promise<JobRef> => {
      const ref = await filledJob(tenantId, 5);
      await start(ref);
      await run(ref, [ok(0), bad(1)], 'cancelled');
      return ref;
    };

    test('reserves what it is to do again, under the key that asked for it, and once', async () => {
      const { tenantId } = await tenantWith(6);
      const ref = await endedJob(tenantId);
      const keyId = newId('key');
      const { job } = await retry(ref, keyId);
      expect(await rowOf({ tenantId, jobId: job.id })).toMatchObject({
        key_id: decodeId('key', keyId),
        quota_items: 4,
      });
      expect((await retry(ref)).made).toBe(false);
      expect(await reservedOf(db, tenantId)).toBe(6);
    });

    test('is refused over quota, and can be asked for again', async () => {
      const { tenantId, plan } = await tenantWith(5);
      const ref = await endedJob(tenantId);
      await expect(retry(ref)).rejects.toMatchObject({ code: 'quota_exceeded' });
      expect(await reservedOf(db, tenantId)).toBe(2);
      await itemsPlan(db, plan, 6);
      expect((await retry(ref)).made).toBe(true);
    });

    test.each([
      ['fewer', -2],
      ['more', +2],
    ])(
      'that takes over %s items than it had reserved counts what it has attempted',
      async (_what, change) => {
        const { tenantId } = await tenantWith(1_000);
        const parent = await endedJob(tenantId);
        const wrong = statement('test.miscount', 'update jobs set cancelled = cancelled - $2 where id = $1');
        await db.run(wrong, [decodeId('job', parent.jobId), change]);
        const { job } = await retry(parent);
        expect(await reservedOf(db, tenantId)).toBe(2 + 4 - change);
        const ref = { tenantId, jobId: job.id };
        await db.transaction((tx) => deriveItems(tx, ref));
        await run(ref, [ok(0), ok(1), ok(2), bad(3)], 'drained');
        expect(await reservedOf(db, tenantId)).toBe(6);
        expect(await usedOf(db, tenantId)).toBe(6);
      },
    );
  });

  describe('tells', () => {
    test('of 80 % and of 100 %, in the transaction that crosses them, once for a month and a limit', async () => {
      const { tenantId, plan } = await tenantWith(10);
      const told = async (): Promise<unknown[]> =>
        (await quotaEvents(db, tenantId)).map(({ type, data }) => [type, data['used'], data['allowed']]);
      await start(await filledJob(tenantId, 7));
      expect(await told()).toEqual([]);
      const ref = await filledJob(tenantId, 1);
      await start(ref);
      const month = monthOf(new Date());
      expect(await quotaEvents(db, tenantId)).toEqual([
        {
          type: 'quota.warning',
          data: {
            ...{ tenant_id: tenantId, quota: 'items_per_month', used: 8, allowed: 10 },
            period_start: startOf(month).toISOString(),
            period_end: monthEnd(month).toISOString(),
          },
        },
      ]);
      // Given back and taken again: it was said before.
      await run(ref, [], 'cancelled');
      await start(await filledJob(tenantId, 2));
      expect(await told()).toHaveLength(1);
      await start(await filledJob(tenantId, 1));
      for (let n = 0; n < 3; n++) await start(await filledJob(tenantId, 1)).catch(() => undefined);
      expect(await told()).toEqual([
        ['quota.warning', 8, 10],
        ['quota.exceeded', 10, 10],
      ]);
      await itemsPlan(db, plan, 12);
      await start(await filledJob(tenantId, 2));
      expect(await told()).toEqual([
        ['quota.warning', 8, 10],
        ['quota.exceeded', 10, 10],
        ['quota.exceeded', 12, 12],
      ]);
    });

    test('nobody of a job whose start is rolled back', async () => {
      const { tenantId } = await tenantWith(10);
      const ref = await filledJob(tenantId, 10);
      const failing = transact(async ({ jobs }) => {
        await jobs.start(ref);
        throw new Error('no');
      });
      await expect(failing).rejects.toThrow('no');
      expect(await quotaEvents(db, tenantId)).toEqual([]);
      expect(await reservedOf(db, tenantId)).toBe(0);
    });

    test('of a refusal once, however many jobs are refused', async () => {
      const { tenantId } = await tenantWith(10);
      const jobs = await Promise.all([1, 2, 3, 4].map(() => filledJob(tenantId, 11)));
      await Promise.allSettled(jobs.map(start));
      expect(await quotaEvents(db, tenantId)).toMatchObject([
        { type: 'quota.exceeded', data: { used: 0, allowed: 10 } },
      ]);
    });

    test('of the crossing as well, where a job was refused before', async () => {
      const { tenantId } = await tenantWith(10);
      await expect(start(await filledJob(tenantId, 11))).rejects.toMatchObject({ code: 'quota_exceeded' });
      await start(await filledJob(tenantId, 10));
      const told = (await quotaEvents(db, tenantId)).map(({ type, data }) => [type, data.used]);
      expect(told).toEqual([
        ['quota.exceeded', 0],
        ['quota.warning', 10],
        ['quota.exceeded', 10],
      ]);
    });

    test('a job larger than a whole month is not told to come back', async () => {
      const { tenantId } = await tenantWith(10);
      const refused = await start(await filledJob(tenantId, 11)).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: 'quota_exceeded', retryAfterSeconds: undefined });
    });
  });

  test('whatever is started, cancelled and finished, the month holds what was attempted and what may still be', async () => {
    const steps = fc.array(
      fc.record({
        items: fc.integer({ min: 1, max: 6 }),
        attempted: fc.integer({ min: 0, max: 6 }),
        end: fc.constantFrom('drained', 'cancelled', 'never'),
      }),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 20 }), steps, async (allowed, jobs) => {
        const { tenantId } = await tenantWith(allowed);
        let expected = 0;
        for (const { items, attempted, end } of jobs) {
          const ref = await filledJob(tenantId, items);
          const fits = expected + items <= allowed;
          await start(ref).then(
            () => expect(fits).toBe(true),
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'quota_exceeded' });
              expect(fits).toBe(false);
            },
          );
          if (!fits) continue;
          expected += items;
          if (end === 'never') continue;
          const done = Math.min(items, attempted);
          const reached = done === items ? end : 'cancelled';
          await run(
            ref,
            Array.from({ length: done }, (_, i) => ok(i)),
            reached,
          );
          expected -= items - done;
        }
        expect(await reservedOf(db, tenantId)).toBe(expected);
      }),
      { numRuns: 15 },
    );
  });
});
