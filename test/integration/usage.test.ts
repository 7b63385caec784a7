import { randomUUID } from 'node:crypto';
import { createRequestMeter } from '../../src/api/usage/request-meter';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { decodeId } from '../../src/domain/ids';
import type { RequestCount } from '../../src/domain/usage/usage';
import { newId } from '../../src/platform/clock';
import { createChunkStore, type ChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import { statement } from '../../src/platform/postgres/statement';
import { createUsageReads, createUsageWrites } from '../../src/platform/postgres/usage-store';
import { startChunkApi } from '../support/chunk-api';
import { insertTenant, openTestDatabase } from '../support/database';
import { numbers, queuedJob } from '../support/jobs';
import { usedOf } from '../support/usage';

const DAY = '2026-03-01';
const RANGES = [
  { from: DAY, to: DAY },
  { from: '1970-01-01', to: '9999-12-31' },
] as const;

const ok = (index: number): ItemOutcome => ({
  ...{ index, status: 'succeeded', output: String(index), error: null, attempts: 1, durationMs: 1 },
});

const INSTANCE_FLUSHED = statement<{ flushed: string }>(
  'test.flushed',
  'select flushed from instances where id = $1',
);
const INSERT_KEY = statement(
  'test.key',
  `insert into api_keys (id, tenant_id, name, prefix, scopes) values ($1, $2, 'test', 'mrk_test', '{}')`,
);
const LAST_USED = statement<{ last_used_at: Date | null }>(
  'test.last_used',
  'select last_used_at from api_keys where id = $1',
);
describe('usage', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let chunks: ChunkStore;
  let runs: RunStore;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    chunks = createChunkStore(db);
    runs = createRunStore(db, createEventStore);
  });
  afterAll(() => close());

  describe('of items', () => {
    const runningJob = async (keyId?: string): Promise<{ tenantId: string; jobId: string; no: number }> => {
      const tenantId = await insertTenant(db);
      const ref = await queuedJob(db, { tenantId, inputs: numbers(10), ...(keyId && { keyId }) });
      await runs.begin(ref);
      return { ...ref, no: 0 };
    };
    const take = async (ref: { tenantId: string; jobId: string; no: number }) => {
      const hold = await chunks.take(ref);
      if (hold === undefined || 'status' in hold) throw new Error('not taken');
      return { ...ref, epoch: hold.epoch };
    };

    test('is what has a result, whether it succeeded or failed, under the key that made the job', async () => {
      const keyId = newId('key');
      const held = await take(await runningJob(keyId));
      const error = { code: 'handler_failed', message: 'x' };
      await chunks.write(held, [ok(0), ok(1), { ...ok(2), status: 'failed', output: null, error }], 0);
      await chunks.write(held, [{ ...ok(3), status: 'deferred', dueAt: new Date() }], 0);
      await chunks.write(held, [], 4);
      const usage = createUsageReads(db);
      const [count, ...more] = await usage.counts({ tenantId: held.tenantId }, [RANGES[1], RANGES[1]]);
      expect([count?.metric, count?.amount, more]).toEqual(['items', 3, []]);
      const ofKey = { tenantId: held.tenantId, keyId };
      expect(await usage.counts(ofKey, [RANGES[1], RANGES[1]])).toEqual([count]);
      const otherKey = { ...ofKey, keyId: newId('key') };
      expect(await usage.counts(otherKey, [RANGES[1], RANGES[1]])).toEqual([]);
    });

    test('is not counted by an attempt that was superseded', async () => {
      const ref = await runningJob();
      const old = await take(ref);
      const fresh = await take(ref);
      await expect(chunks.write(old, [ok(0), ok(1)], 0)).rejects.toMatchObject({ code: 'superseded' });
      expect(await usedOf(db, ref.tenantId)).toBe(0);
      await chunks.write(fresh, [ok(0)], 0);
      expect(await usedOf(db, ref.tenantId)).toBe(1);
    });

    test('counts an item once that is written twice, where rows are inserted one by one', async () => {
      const held = await take(await runningJob());
      await chunks.write(held, [ok(0), ok(1)], 0);
      await chunks.write(held, [ok(1), ok(2), ok(3)], 0);
      await chunks.write(held, [ok(1), ok(2)], 0);
      expect(await usedOf(db, held.tenantId)).toBe(4);
    });

    test('counts nothing of a write that fails on its data', async () => {
      const held = await take(await runningJob());
      const bad = { ...ok(1), output: '"\\u0000"' };
      await expect(chunks.write(held, [ok(0), bad], 0)).rejects.toMatchObject({
        code: 'output_not_storable',
      });
      expect(await usedOf(db, held.tenantId)).toBe(0);
    });

    test('counts what a worker in another language posts, once, also where it posts it again', async () => {
      const api = await startChunkApi();
      try {
        const chunk = await api.lend(numbers(3));
        const epoch = await chunk.claim();
        const lines = [0, 1].map((index) => ({ index, output: index }));
        expect((await chunk.post(epoch, lines)).status).toBe(200);
        expect((await chunk.post(epoch, lines)).status).toBe(200);
        const fresh = await chunk.claim();
        expect((await chunk.post(epoch, [{ ...lines[0], index: 2 }])).status).toBe(409);
        expect((await chunk.post(fresh, lines)).status).toBe(200);
        expect(await usedOf(api.db, chunk.tenantId)).toBe(2);
      } finally {
        await api.close();
      }
    });

    test('counts the item that ended its process, and that was given up', async () => {
      const held = await take(await runningJob());
      const error = { code: 'handler_crashed', message: 'x' };
      await chunks.giveUpSuspect(held, { ...ok(7), status: 'failed', output: null, error });
      expect(await usedOf(db, held.tenantId)).toBe(1);
    });
  });

  describe('of requests', () => {
    const request = (tenantId: string, amount: number): RequestCount => ({
      ...{ tenantId, keyId: newId('key'), day: DAY, metric: 'requests', policy: '', amount },
    });

    test('a batch that is sent again after its answer was lost counts once, also by two connections at once', async () => {
      const instance = randomUUID();
      const tenantId = newId('tenant');
      const writes = createUsageWrites(db, instance);
      expect(await writes.append(1, [request(tenantId, 3)])).toBe(true);
      expect(await writes.append(1, [request(tenantId, 3)])).toBe(true);
      expect(await usedOf(db, tenantId, 'requests')).toBe(3);
      const answers = await Promise.all([1, 2, 3].map(() => writes.append(2, [request(tenantId, 4)])));
      expect(answers).toContain(true);
      expect(await writes.append(2, [request(tenantId, 4)])).toBe(true);
      expect(await usedOf(db, tenantId, 'requests')).toBe(7);
      expect((await db.run(INSTANCE_FLUSHED, [instance]))[0]?.flushed).toBe('2');
    });

    test('a batch that is under way in another transaction is not taken for written, and not written twice', async () => {
      const instance = randomUUID();
      const tenantId = newId('tenant');
      const writes = createUsageWrites(db, instance);
      await writes.append(1, [request(tenantId, 1)]);
      let second: Promise<boolean> | undefined;
      await db
        .transaction(async (tx) => {
          await createUsageWrites(tx, instance).append(2, [request(tenantId, 10)]);
          second = writes.append(2, [request(tenantId, 10)]);
          throw new Error('the first one is rolled back');
        })
        .catch(() => undefined);
      expect(await second).toBe(true);
      expect(await usedOf(db, tenantId, 'requests')).toBe(11);
    });

    test('a process that was taken for dead goes on counting', async () => {
      const instance = randomUUID();
      const tenantId = newId('tenant');
      const writes = createUsageWrites(db, instance);
      await writes.append(1, [request(tenantId, 1)]);
      await db.run(statement('test.forget', 'delete from instances where id = $1'), [instance]);
      expect(await writes.append(2, [request(tenantId, 2)])).toBe(true);
      expect(await writes.append(3, [request(tenantId, 3)])).toBe(true);
      expect(await usedOf(db, tenantId, 'requests')).toBe(6);
    });

    test('a process whose row was put back, or came from a backup, goes on counting', async () => {
      const instance = randomUUID();
      const tenantId = newId('tenant');
      const writes = createUsageWrites(db, instance);
      for (const no of [1, 2, 3]) await writes.append(no, [request(tenantId, 1)]);
      await db.run(statement('test.behind', 'update instances set flushed = 0 where id = $1'), [instance]);
      expect(await writes.append(4, [request(tenantId, 10)])).toBe(true);
      expect(await usedOf(db, tenantId, 'requests')).toBe(13);
    });

    test('answers that get lost on the way cost no count and double none', async () => {
      const who = { tenantId: newId('tenant'), keyId: newId('key') };
      const writes = createUsageWrites(db, randomUUID());
      const log = { info: () => undefined, warn: () => undefined };
      let sent = 0;
      const meter = createRequestMeter({
        nowMs: Date.now,
        log,
        store: {
          keysUsed: async () => undefined,
          append: async (no, counts) => {
            const done = await writes.append(no, counts);
            if (sent++ % 3 !== 2) throw new Error('connection lost');
            return done;
          },
        },
      });
      for (let n = 0; n < 20; n++) {
        meter.count(who, undefined);
        meter.count(who, n % 2 === 0 ? 'minute' : undefined);
        await meter.flush();
      }
      await meter.close();
      expect(await usedOf(db, who.tenantId, 'requests')).toBe(30);
      expect(await usedOf(db, who.tenantId, 'refused')).toBe(10);
    });

    test('when a key was used last goes forward only', async () => {
      const tenantId = await insertTenant(db);
      const keys = [newId('key'), newId('key')];
      for (const key of keys) await db.run(INSERT_KEY, [decodeId('key', key), decodeId('tenant', tenantId)]);
      const writes = createUsageWrites(db, randomUUID());
      const at = (minute: number): Date => new Date(Date.UTC(2026, 2, 1, 12, minute));
      const lastUsed = async (): Promise<unknown[]> =>
        Promise.all(
          keys.map(async (key) => (await db.run(LAST_USED, [decodeId('key', key)]))[0]?.last_used_at),
        );
      const note = (first: number, second: number): Promise<void> =>
        writes.keysUsed(
          new Map([
            [keys[0] ?? '', at(first)],
            [keys[1] ?? '', at(second)],
          ]),
        );
      await note(5, 5);
      await note(6, 4);
      expect(await lastUsed()).toEqual([at(6), at(5)]);
      await Promise.all([note(9, 7), note(7, 9), note(8, 8)]);
      expect(await lastUsed()).toEqual([at(9), at(9)]);
    });
  });
});
