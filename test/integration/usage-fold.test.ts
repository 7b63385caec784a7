import fc from 'fast-check';
import { decodeId } from '../../src/domain/ids';
import type { DayCount } from '../../src/domain/usage/usage';
import { newId } from '../../src/platform/clock';
import { onConnection, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { type Database, type Queryable, statement } from '../../src/platform/postgres/statement';
import {
  createUsageFold,
  USAGE_FOLD,
  USAGE_FOLD_LOCK,
  USAGE_PEEK,
  type UsageFold,
} from '../../src/platform/postgres/usage-fold';
import { createUsageReads } from '../../src/platform/postgres/usage-store';
import { startFoldUsage } from '../../src/workers/fold-usage';
import { openTestDatabase } from '../support/database';
import { usedOf } from '../support/usage';
import { until } from '../support/wait';

const DAY = '2026-03-01';
const RANGES = [
  { from: DAY, to: DAY },
  { from: '1970-01-01', to: '9999-12-31' },
] as const;

const COUNT_DELTAS = statement<{ n: number }>('test.deltas', 'select count(*)::int as n from usage_deltas');
const APPEND = statement(
  'test.append',
  `insert into usage_deltas (tenant_id, key_id, day, metric, policy, amount)
   values ($1, $2, '${DAY}'::date + $3::int, $4, $5, $6)`,
);

const APPEND_MANY = statement(
  'test.append_many',
  `insert into usage_deltas (tenant_id, day, metric, amount) select $1, '${DAY}', 'items', 1 from generate_series(1, $2)`,
);

interface Delta {
  tenantId: string;
  keyId?: string | undefined;
  /** from `DAY` on */
  day?: number;
  metric?: string;
  amount: number;
}

async function append(
  db: Queryable,
  { tenantId, keyId, day = 0, metric = 'items', amount }: Delta,
): Promise<void> {
  const policy = metric === 'refused' ? 'minute' : '';
  const key = keyId === undefined ? null : decodeId('key', keyId);
  await db.run(APPEND, [decodeId('tenant', tenantId), key, day, metric, policy, amount]);
}

/** Transactions side by side that stay open for as long as one likes. */
async function openWriters(db: PostgresDatabase, tenantId: string) {
  const writers = await Promise.all(
    Array.from({ length: 4 }, async () => ({ client: await db.connect(), open: 0 })),
  );
  const writer = (n: number) => writers[n] as (typeof writers)[number];
  let committed = 0;
  return {
    get committed() {
      return committed;
    },
    append: async (n: number): Promise<void> => {
      const { client } = writer(n);
      if (writer(n).open++ === 0) await client.query('begin');
      await append(onConnection(client), { tenantId, amount: 1 });
    },
    end: async (n: number, how: 'commit' | 'rollback'): Promise<void> => {
      await writer(n).client.query(how);
      if (how === 'commit') committed += writer(n).open;
      writer(n).open = 0;
    },
    close: async (): Promise<void> => {
      for (const { client } of writers) {
        await client.query('rollback');
        client.release();
      }
    },
  };
}

describe('folding the usage', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let fold: UsageFold;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    fold = createUsageFold(db);
  });
  afterAll(() => close());

  const deltas = async (): Promise<number> => (await db.run(COUNT_DELTAS))[0]?.n ?? 0;

  /** What a peek with these values reads. */
  const blocksRead = async (values: readonly unknown[] = []): Promise<number> => {
    const [row] = await db.run<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      { name: 'test.blocks', text: `explain (analyze, buffers, format json) ${USAGE_PEEK.text}` },
      values,
    );
    const plan = row?.['QUERY PLAN'][0].Plan ?? {};
    return Number(plan['Shared Hit Blocks']) + Number(plan['Shared Read Blocks']);
  };
  const rolledBackFold = (): Promise<void> =>
    db
      .transaction(async (tx) => {
        await tx.run(USAGE_FOLD, ['0', [], 1_000]);
        throw new Error('crash');
      })
      .catch(() => undefined);

  test('whatever is appended, folded by many at once or broken off, each read is right', async () => {
    const appending = fc.record({
      what: fc.constant('append' as const),
      key: fc.integer({ min: 0, max: 2 }),
      day: fc.integer({ min: 0, max: 1 }),
      metric: fc.constantFrom('requests', 'refused', 'items'),
      amount: fc.integer({ min: 1, max: 1_000_000 }),
    });
    const step = fc.oneof(
      { weight: 6, arbitrary: appending },
      {
        weight: 2,
        arbitrary: fc.record({ what: fc.constant('fold' as const), limit: fc.integer({ min: 1, max: 4 }) }),
      },
      fc.record({ what: fc.constant('break off' as const) }),
      fc.record({ what: fc.constant('read' as const) }),
    );
    const usage = createUsageReads(db);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const tenantId = newId('tenant');
        const keys = [undefined, newId('key'), newId('key')];
        const sums = new Map<string, number>();
        const ofOneKey = new Map<string, number>();
        const add = (to: Map<string, number>, of: string, amount: number): void =>
          void to.set(of, (to.get(of) ?? 0) + amount);
        const amounts = (counts: readonly DayCount[]): Map<string, number> =>
          new Map(counts.map((c) => [`${c.day} ${c.metric}`, c.amount]));
        const check = async (): Promise<void> => {
          expect(amounts(await usage.counts({ tenantId }, RANGES))).toEqual(sums);
          const ofKey = { tenantId, keyId: keys[1] ?? '' };
          expect(amounts(await usage.counts(ofKey, RANGES))).toEqual(ofOneKey);
        };
        for (const s of steps) {
          if (s.what === 'append') {
            const day = `2026-03-0${s.day + 1}`;
            await append(db, { tenantId, keyId: keys[s.key], ...s });
            add(sums, `${day} ${s.metric}`, s.amount);
            if (s.key === 1) add(ofOneKey, `${day} ${s.metric}`, s.amount);
          } else if (s.what === 'fold') {
            await Promise.all([fold.foldSome(s.limit), fold.foldSome(s.limit), check()]);
          } else if (s.what === 'break off') await Promise.all([rolledBackFold(), check()]);
          else await check();
        }
        await check();
        while ((await fold.foldSome(100)) !== 0);
        await check();
      }),
      { numRuns: 40 },
    );
    expect(await deltas()).toBe(0);
  });

  test('whatever commits however late, it is folded, and only what was rolled back is missing', async () => {
    const writer = fc.integer({ min: 0, max: 3 });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ what: fc.constant('append' as const), writer }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('commit' as const), writer }) },
      fc.record({ what: fc.constant('rollback' as const), writer }),
      {
        weight: 3,
        arbitrary: fc.record({
          what: fc.constant('fold' as const),
          process: fc.integer({ min: 0, max: 1 }),
          limit: fc.integer({ min: 1, max: 3 }),
        }),
      },
    );
    // Each remembers on its own how far all of them have come.
    const processes = [createUsageFold(db), createUsageFold(db)];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat({ max: 1 }), async (steps, last) => {
        const tenantId = newId('tenant');
        const writers = await openWriters(db, tenantId);
        try {
          for (const s of steps) {
            if (s.what === 'append') await writers.append(s.writer);
            else if (s.what === 'fold') await processes[s.process]?.foldSome(s.limit);
            else await writers.end(s.writer, s.what);
          }
          for (const n of [3, 1, 0, 2]) {
            await writers.end(n, 'commit');
            await processes[last]?.foldSome(1);
          }
          while ((await processes[last]?.foldSome(1)) !== 0);
        } finally {
          await writers.close();
        }
        expect(await deltas()).toBe(0);
        expect(await usedOf(db, tenantId)).toBe(writers.committed);
      }),
      { numRuns: 100 },
    );
  });

  test('does not read again what it has folded, though nothing can be cleared away', async () => {
    const tenantId = newId('tenant');
    const peeks: unknown[][] = [];
    const watched: Database = {
      transaction: db.transaction,
      run: (stmt, values = []) => {
        if (stmt.name === USAGE_PEEK.name) peeks.push([...values]);
        return db.run(stmt, values);
      },
    };
    const folding = createUsageFold(watched);
    const [reader, writer] = [await db.connect(), await db.connect()];
    try {
      // One that still sees all, and one that may still append.
      await reader.query('begin isolation level repeatable read');
      await reader.query('select count(*) from usage_deltas');
      await writer.query('begin');
      await append(onConnection(writer), { tenantId, amount: 7 });
      await db.run(APPEND_MANY, [decodeId('tenant', tenantId), 20_000]);
      while ((await folding.foldSome(5_000)) !== 0);
      await folding.foldSome(5_000);
      const [first, last] = [peeks.at(0), peeks.at(-1)];
      expect(await blocksRead(first)).toBeGreaterThan(100);
      expect(await blocksRead(last)).toBeLessThan(20);
      await writer.query('commit');
      expect(await folding.foldSome(5_000)).toBe(1);
      expect(await usedOf(db, tenantId)).toBe(20_007);
      expect(await deltas()).toBe(0);
    } finally {
      for (const client of [reader, writer]) {
        await client.query('rollback');
        client.release();
      }
    }
  });

  test('is done by one at a time: who comes second leaves it', async () => {
    const tenantId = newId('tenant');
    await append(db, { tenantId, amount: 5 });
    await db.transaction(async (tx) => {
      await tx.run(USAGE_FOLD_LOCK);
      expect(await fold.foldSome(10)).toBe('busy');
    });
    expect(await fold.foldSome(10)).toBe(1);
    expect(await usedOf(db, tenantId)).toBe(5);
  });

  test('goes on by itself in the worker, also for a tenant that is gone', async () => {
    const tenantId = newId('tenant');
    const errors: unknown[] = [];
    const folding = startFoldUsage({ usage: fold, onError: (e) => errors.push(e), intervalMs: 10 });
    for (let n = 0; n < 5; n++) {
      await append(db, { tenantId, amount: 2 });
      await until('the fold', async () => (await deltas()) === 0);
    }
    await folding.stop();
    expect(errors).toEqual([]);
    expect(await usedOf(db, tenantId)).toBe(10);
  });
});
