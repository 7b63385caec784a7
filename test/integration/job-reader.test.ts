import { newId } from '../../src/platform/clock';
import { createJobReader } from '../../src/platform/postgres/job-reader';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import type { Queryable } from '../../src/platform/postgres/statement';
import { insertTenant, openTestDatabase } from '../support/database';
import { jobsOf, queuedJob } from '../support/jobs';

let db: PostgresDatabase;
let close: () => Promise<void>;
let tenantId: string;
let otherTenantId: string;

beforeAll(async () => {
  ({ db, close } = await openTestDatabase());
  tenantId = await insertTenant(db);
  otherTenantId = await insertTenant(db);
});
afterAll(() => close());

interface Gate extends Queryable {
  /** statements so far */
  readonly count: number;
  /** The next statement begins, and its answer is held back until the call of what this gives. */
  holdNext(): () => void;
}

function gate(): Gate {
  let count = 0;
  let held: Promise<void> | undefined;
  return {
    get count() {
      return count;
    },
    holdNext: () => {
      let release = (): void => undefined;
      held = new Promise((resolve) => {
        release = resolve;
      });
      return release;
    },
    run: async (statement, values) => {
      count++;
      const waiting = held;
      held = undefined;
      const rows = await db.run(statement, values);
      await waiting;
      return rows;
    },
  };
}

const rename = (jobId: string, name: string): Promise<unknown> =>
  db.transaction((tx) => jobsOf(tx).update({ tenantId, jobId }, { name }));

test('each of many who ask at once gets his own job as it would be read alone, in one statement', async () => {
  const inputs = [['1'], ['1', '2'], ['1', '2', '3']];
  const refs = await Promise.all(inputs.map((one) => queuedJob(db, { tenantId, inputs: one })));
  const foreign = await queuedJob(db, { tenantId: otherTenantId, inputs: ['1'] });
  const alone = await Promise.all([...refs, foreign].map((ref) => jobsOf(db).find(ref)));
  const through = gate();
  const reader = createJobReader(through);
  const asked = Array.from({ length: 60 }, (_, n) => [...refs, foreign][n % 4] ?? foreign);
  const found = await Promise.all(asked.map((ref) => reader.find(ref)));
  expect(found).toEqual(asked.map((_, n) => alone[n % 4]));
  expect(through.count).toBe(1);
});

test("another tenant's job, one that is not there and what is no id answer alike, and only to those who asked", async () => {
  const mine = await queuedJob(db, { tenantId, inputs: ['1'] });
  const reader = createJobReader(db);
  const wrong = [
    { tenantId: otherTenantId, jobId: mine.jobId },
    { tenantId, jobId: newId('job') },
    { tenantId, jobId: 'job_nonsense' },
    { tenantId, jobId: mine.tenantId },
  ];
  const [found, ...refused] = await Promise.allSettled([mine, ...wrong].map((ref) => reader.find(ref)));
  expect(found).toMatchObject({ status: 'fulfilled', value: { id: mine.jobId } });
  for (const answer of refused) expect(answer).toMatchObject({ reason: { code: 'not_found' } });
});

test('who asks while a statement is under way sees what was committed before he asked', async () => {
  const ref = await queuedJob(db, { tenantId, inputs: ['1'] });
  await rename(ref.jobId, 'before');
  const through = gate();
  const reader = createJobReader(through);
  const release = through.holdNext();
  const first = reader.find(ref);
  await new Promise((resolve) => setImmediate(resolve));
  expect(through.count).toBe(1);
  await rename(ref.jobId, 'after');
  const second = reader.find(ref);
  release();
  expect((await second).name).toBe('after');
  await first;
  expect(through.count).toBe(2);
});

test('a statement that never answers holds up only those who are in it', async () => {
  const ref = await queuedJob(db, { tenantId, inputs: ['1'] });
  const through = gate();
  const reader = createJobReader(through);
  const release = through.holdNext();
  let answered = false;
  const stuck = reader.find(ref).then(() => {
    answered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect((await reader.find(ref)).id).toBe(ref.jobId);
  expect(answered).toBe(false);
  release();
  await stuck;
});

test('a failure is told to all who are in the statement, and the next one goes on', async () => {
  const ref = await queuedJob(db, { tenantId, inputs: ['1'] });
  let fails = true;
  const reader = createJobReader({
    run: async (statement, values) => {
      if (fails) throw new Error('away');
      return db.run(statement, values);
    },
  });
  const answers = await Promise.allSettled([reader.find(ref), reader.find(ref)]);
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  fails = false;
  expect((await reader.find(ref)).id).toBe(ref.jobId);
});

test('more than fit into one statement are all read', async () => {
  const ref = await queuedJob(db, { tenantId, inputs: ['1'] });
  const reader = createJobReader(db);
  const unknown = Array.from({ length: 1_200 }, () => ({ tenantId, jobId: newId('job') }));
  const answers = await Promise.allSettled([...unknown, ref].map((one) => reader.find(one)));
  expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});
