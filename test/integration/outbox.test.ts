import fc from 'fast-check';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createOutboxReach } from '../../src/platform/postgres/outbox-reach';
import { createOutboxStore, OUTBOX_CLAIM, OUTBOX_PEEK } from '../../src/platform/postgres/outbox-store';
import { onConnection, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { type Database, type Queryable, statement } from '../../src/platform/postgres/statement';
import type { StoredEvent } from '../../src/domain/realtime/event';
import { insertTenant, openTestDatabase } from '../support/database';

const LEFT = statement<{ n: number }>('test.outbox_left', 'select count(*)::int as n from outbox');
const MANY = statement(
  'test.outbox_many',
  'insert into outbox (event_id) select gen_random_uuid() from generate_series(1, $1::int)',
);
const SET_BACK = statement('test.outbox_set_back', `select setval('outbox_seq_seq', $1::bigint)`);
const DRAWN = statement<{ drawn: string }>(
  'test.outbox_drawn',
  'select last_value as drawn from outbox_seq_seq',
);

let db: PostgresDatabase;
let close: () => Promise<void>;
let tenantId: string;
beforeAll(async () => {
  ({ db, close } = await openTestDatabase());
  tenantId = await insertTenant(db, 'free');
});
afterAll(() => close());

const left = async (): Promise<number> => (await db.run(LEFT))[0]?.n ?? 0;

async function append(on: Queryable, subject: string): Promise<string> {
  const id = newId('event');
  await createEventStore(on).append([{ id, tenantId, type: 'job.updated', subject, data: '{}' }]);
  return id;
}

/** Transactions side by side that stay open for as long as one likes; each tells of a subject of its own. */
async function openWriters() {
  const writers = await Promise.all(
    Array.from({ length: 4 }, async () => ({ client: await db.connect(), told: [] as string[] })),
  );
  const committed: string[][] = writers.map(() => []);
  const writer = (n: number) => writers[n] as (typeof writers)[number];
  return {
    committed,
    append: async (n: number): Promise<void> => {
      const { client, told } = writer(n);
      if (told.length === 0) await client.query('begin');
      told.push(await append(onConnection(client), `writer ${n}`));
    },
    end: async (n: number, how: 'commit' | 'rollback'): Promise<void> => {
      const { client, told } = writer(n);
      await client.query(how);
      if (how === 'commit') committed[n]?.push(...told);
      told.length = 0;
    },
    close: async (): Promise<void> => {
      for (const { client } of writers) {
        await client.query('rollback');
        client.release();
      }
    },
  };
}

test('whatever commits however late is passed on once, and what one writer tells in its order', async () => {
  const writer = fc.integer({ min: 0, max: 3 });
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ what: fc.constant('append' as const), writer }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('commit' as const), writer }) },
    fc.record({ what: fc.constant('rollback' as const), writer }),
    {
      weight: 3,
      arbitrary: fc.record({
        what: fc.constant('pass' as const),
        process: fc.integer({ min: 0, max: 1 }),
        limit: fc.integer({ min: 1, max: 3 }),
        fails: fc.boolean(),
      }),
    },
  );
  // Each remembers on its own how far all of them have come; the second one begins anew now and then.
  const processes = [createOutboxStore(db), createOutboxStore(db, createOutboxReach(5))];
  const passed: StoredEvent[] = [];
  const pass = async (n: number, limit: number, fails = false): Promise<unknown> =>
    processes[n]
      ?.passOn(limit, async (events) => {
        if (fails) throw new Error('away');
        passed.push(...events);
      })
      .catch((error: Error) => expect(error.message).toBe('away'));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.nat({ max: 1 }), async (steps, last) => {
      const writers = await openWriters();
      passed.length = 0;
      try {
        for (const s of steps) {
          if (s.what === 'append') await writers.append(s.writer);
          else if (s.what === 'pass') await pass(s.process, s.limit, s.fails);
          else await writers.end(s.writer, s.what);
        }
        for (const n of [3, 1, 0, 2]) {
          await writers.end(n, 'commit');
          await pass(last, 1);
        }
        while ((await pass(last, 2)) !== 0);
        const ofWriter = (n: number): string[] =>
          passed.filter(({ subject }) => subject === `writer ${n}`).map(({ id }) => id);
        expect([0, 1, 2, 3].map(ofWriter)).toEqual(writers.committed);
        expect(await left()).toBe(0);
      } finally {
        await writers.close();
      }
    }),
    { numRuns: 60 },
  );
});

test('what is passed on is not read again, however old the oldest transaction is and whoever passed it on', async () => {
  const looks: { name: string; values: readonly unknown[] }[] = [];
  const note = (on: Queryable): Queryable => ({
    run: (one, values = []) => {
      if ([OUTBOX_PEEK.name, OUTBOX_CLAIM.name].includes(one.name)) looks.push({ name: one.name, values });
      return on.run(one, values);
    },
  });
  const noted: Database = {
    ...note(db),
    transaction: (work) => db.transaction((tx) => work({ ...tx, ...note(tx) })),
  };
  const blocksRead = async (text: string, values: readonly unknown[]): Promise<number> => {
    const [row] = await db.run<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
      { name: 'test.blocks', text: `explain (analyze, buffers, format json) ${text}`, prepared: false },
      values,
    );
    const plan = row?.['QUERY PLAN'][0].Plan ?? {};
    return Number(plan['Shared Hit Blocks']) + Number(plan['Shared Read Blocks']);
  };
  const [here, elsewhere] = [createOutboxStore(noted), createOutboxStore(db)];
  const nobody = async (): Promise<void> => undefined;
  const [reader, writer] = [await db.connect(), await db.connect()];
  try {
    await reader.query('begin isolation level repeatable read');
    await reader.query('select count(*) from outbox');
    await writer.query('begin');
    const late = await append(onConnection(writer), 'late');
    await db.run(MANY, [20_000]);
    while ((await elsewhere.passOn(5_000, nobody)) !== 0);
    expect(await here.passOn(10, nobody)).toBe(0);
    await db.run(MANY, [15]);
    expect(await here.passOn(10, nobody)).toBe(10);
    expect(await here.passOn(10, nobody)).toBe(5);
    expect(await here.passOn(10, nobody)).toBe(0);
    expect(await blocksRead(OUTBOX_PEEK.text, ['0', [], '0'])).toBeGreaterThan(60);
    const [peek, claim] = [OUTBOX_PEEK, OUTBOX_CLAIM].map(({ name }) =>
      looks.findLast((look) => look.name === name),
    );
    expect(await blocksRead(OUTBOX_PEEK.text, peek?.values ?? [])).toBeLessThan(20);
    expect(await blocksRead(OUTBOX_CLAIM.text, claim?.values ?? [])).toBeLessThan(20);
    await writer.query('commit');
    const passed: string[] = [];
    const outcome = await here.passOn(10, async (events) => void passed.push(...events.map(({ id }) => id)));
    expect([outcome, passed]).toEqual([1, [late]]);
    expect(await left()).toBe(0);
  } finally {
    for (const client of [reader, writer]) {
      await client.query('rollback');
      client.release();
    }
  }
});

test('numbers that are drawn anew, as by a standby without the last moments, are found', async () => {
  const store = createOutboxStore(db);
  const passed: string[] = [];
  const pass = (): Promise<number | 'busy'> =>
    store.passOn(10, async (events) => void passed.push(...events.map(({ id }) => id)));
  const [before] = await db.run(DRAWN);
  for (let n = 0; n < 5; n++) await append(db, 'before');
  expect(await pass()).toBe(5);
  expect([await pass(), await pass()]).toEqual([0, 0]);
  await db.run(SET_BACK, [before?.drawn]);
  const again = await append(db, 'after');
  expect(await pass()).toBe(1);
  expect(passed.at(-1)).toBe(again);
});
