import type { JobRef } from '../../src/domain/batch/job';
import { FINAL_STATUSES, type JobStatus } from '../../src/domain/batch/status';
import { decodeId } from '../../src/domain/ids';
import { eventsOf } from '../../src/compose/parts';
import { deriveItems } from '../../src/platform/postgres/derive-items';
import { createJobChanges } from '../../src/platform/postgres/job-changes';
import { createRetentionStore, RETENTION_REMOVE } from '../../src/platform/postgres/retention-store';
import { type Queryable, statement } from '../../src/platform/postgres/statement';
import { clearTenants, removeOldJobs, type RetentionDeps, startRetention } from '../../src/workers/retention';
import { DEFAULT_OPTIONS } from '../../src/domain/batch/job';
import { newId } from '../../src/platform/clock';
import { insertTenant, openTestDatabase } from '../support/database';
import { jobsOf, numbers, queuedJob } from '../support/jobs';
import { until } from '../support/wait';

const HOURS_PER_DAY = 24;
const REWIND = statement(
  'test.rewind',
  `update jobs set status = $2, cancelled = total,
     ended_at = case when $3::float8 is not null then now() - make_interval(hours => $3::int) end where id = $1`,
);
const JOBS = statement<{ id: string }>('test.jobs', 'select id from jobs where tenant_id = $1');
const STATUSES = statement<{ status: JobStatus }>(
  'test.statuses',
  'select status from jobs where tenant_id = $1 order by status',
);
const EVENTS = statement<{ type: string; told: boolean }>(
  'test.events',
  `select type, exists (select from outbox where event_id = e.id) as told from events e
   where subject = $1 and type in ('job.deleted', 'job.cancelling') order by seq`,
);
const REMAINS = statement<{ n: number }>(
  'test.remains',
  'select count(*)::int as n from job_remains where job_id = $1',
);
const DELETE_TENANT = statement(
  'test.delete_tenant',
  `update tenants set deleted_at = now() - make_interval(mins => $2) where id = $1`,
);
const CLEARED = statement<{ cleared: boolean }>(
  'test.cleared',
  'select cleared_at is not null as cleared from tenants where id = $1',
);
const MANY_TENANTS = statement(
  'test.many_tenants',
  `insert into tenants (id, name) select gen_random_uuid(), 'one of many' from generate_series(1, 1000)`,
);
const MANY_JOBS = statement(
  'test.many_jobs',
  `insert into jobs (id, tenant_id, handler, params, options, metadata, status, ended_at)
   select gen_random_uuid(), $1, 'echo', '{}', '{"priority": 3}', '{}', 'completed', now() - interval '4 days'
   from generate_series(1, $2::int)`,
);
const CUSTOM = statement('test.custom', `insert into plans (name, retention_days) values ($1, $2)`);
const NO_JOBS = statement('test.no_jobs', 'delete from jobs');

let opened: Awaited<ReturnType<typeof openTestDatabase>>;
const never = new AbortController().signal;

beforeAll(async () => {
  opened = await openTestDatabase();
});
beforeEach(() => opened.db.run(NO_JOBS));
afterAll(() => opened.close());

const storeOn = (db: typeof opened.db = opened.db) => createRetentionStore(db, eventsOf);

/** As the worker has it; what is cancelled is noted instead of woken. */
function deps(change: Partial<RetentionDeps> = {}): RetentionDeps & { cancelled: JobRef[] } {
  const cancelled: JobRef[] = [];
  const cancel = async (ref: JobRef): Promise<boolean> => {
    await opened.db.transaction((tx) => createJobChanges(tx, eventsOf(tx)).cancel(ref));
    cancelled.push(ref);
    return true;
  };
  return { store: storeOn(), cancel, log: { info: () => undefined }, cancelled, ...change };
}

/** A job in a status; ended ones so many hours ago. */
async function job(tenantId: string, status: JobStatus, endedHoursAgo?: number): Promise<JobRef> {
  const ref = await queuedJob(opened.db, { tenantId, inputs: numbers(3) });
  await opened.db.run(REWIND, [decodeId('job', ref.jobId), status, endedHoursAgo ?? null]);
  return ref;
}

async function isThere({ tenantId, jobId }: JobRef): Promise<boolean> {
  const rows = await opened.db.run(JOBS, [decodeId('tenant', tenantId)]);
  return rows.some(({ id }) => id === decodeId('job', jobId));
}

const statusesOf = async (tenantId: string): Promise<JobStatus[]> =>
  (await opened.db.run(STATUSES, [decodeId('tenant', tenantId)])).map(({ status }) => status);

const isCleared = async (tenantId: string): Promise<boolean | undefined> =>
  (await opened.db.run(CLEARED, [decodeId('tenant', tenantId)]))[0]?.cleared;

const deleteTenant = (tenantId: string, minutesAgo = 0) =>
  opened.db.run(DELETE_TENANT, [decodeId('tenant', tenantId), minutesAgo]);

describe('jobs past their retention', () => {
  it.each([
    ['free', 3],
    ['basic', 30],
    ['premium', 90],
    ['unlimited', 90],
    ['two-days', 2],
  ])('go by the plan in force: %s keeps them for %d days', async (plan, days) => {
    if (plan === 'two-days') await opened.db.run(CUSTOM, [plan, days]);
    const tenantId = await insertTenant(opened.db, plan);
    const kept = await job(tenantId, 'completed', days * HOURS_PER_DAY - 1);
    const old = await job(tenantId, 'failed', days * HOURS_PER_DAY + 1);
    expect(await removeOldJobs(deps(), never)).toBe(1);
    expect([await isThere(kept), await isThere(old)]).toEqual([true, false]);
  });

  it('are kept for ever where the plan says so', async () => {
    await opened.db.run(CUSTOM, ['archive', null]);
    const old = await job(await insertTenant(opened.db, 'archive'), 'completed', 1_000 * HOURS_PER_DAY);
    expect(await removeOldJobs(deps(), never)).toBe(0);
    expect(await isThere(old)).toBe(true);
  });

  it('are ended ones alone, however old', async () => {
    const tenantId = await insertTenant(opened.db, 'free');
    for (const status of ['created', 'queued', 'running', 'paused', 'cancelling', 'finalizing'] as const) {
      await job(tenantId, status);
    }
    expect(await removeOldJobs(deps(), never)).toBe(0);
    expect(await statusesOf(tenantId)).toHaveLength(6);
  });

  it('go as by DELETE: their rows are left to the purge, and an event tells of each, once', async () => {
    const old = await job(await insertTenant(opened.db, 'free'), 'completed', 100);
    await removeOldJobs(deps(), never);
    await removeOldJobs(deps(), never);
    expect((await opened.db.run(REMAINS, [decodeId('job', old.jobId)]))[0]?.n).toBe(1);
    expect(await opened.db.run(EVENTS, [old.jobId])).toEqual([{ type: 'job.deleted', told: true }]);
  });

  it('stay as long as a retry has yet to take their items over', async () => {
    const tenantId = await insertTenant(opened.db, 'free');
    const parent = await job(tenantId, 'cancelled', 100);
    const wish = { id: newId('job'), keyId: null, options: DEFAULT_OPTIONS };
    await opened.db.transaction((tx) => jobsOf(tx).retry(parent, wish));
    expect(await removeOldJobs(deps(), never)).toBe(0);
    await opened.db.transaction((tx) => deriveItems(tx, { tenantId, jobId: wish.id }));
    expect(await removeOldJobs(deps(), never)).toBe(1);
    expect(await statusesOf(tenantId)).toEqual(['queued']);
  });

  it('stay where a retry is just being made, also when they were chosen before it', async () => {
    const parent = await job(await insertTenant(opened.db, 'free'), 'cancelled', 100);
    const wish = { id: newId('job'), keyId: null, options: DEFAULT_OPTIONS };
    await opened.db.transaction(async (tx) => {
      await jobsOf(tx).retry(parent, wish);
      // Not waited for either.
      expect(await removeOldJobs(deps(), never)).toBe(0);
    });
    const chosen = [decodeId('job', parent.jobId)];
    expect(await opened.db.run(RETENTION_REMOVE, [FINAL_STATUSES, chosen])).toEqual([]);
    expect(await isThere(parent)).toBe(true);
  });

  it('go in small batches, each a transaction of its own', async () => {
    const tenantId = await insertTenant(opened.db, 'free');
    await opened.db.run(MANY_JOBS, [decodeId('tenant', tenantId), 120]);
    const batches: number[] = [];
    const store = storeOn();
    const removeOld: typeof store.removeOld = async (from) => {
      const batch = await store.removeOld(from);
      batches.push(batch.removed);
      return batch;
    };
    expect(await removeOldJobs(deps({ store: { ...store, removeOld } }), never)).toBe(120);
    expect(batches.filter((n) => n > 0)).toEqual([50, 50, 20]);
  });

  it('are shared by several workers, each going once', async () => {
    const tenants = [await insertTenant(opened.db, 'free'), await insertTenant(opened.db, 'free')];
    for (const id of tenants) await opened.db.run(MANY_JOBS, [decodeId('tenant', id), 130]);
    const removed = await Promise.all([1, 2, 3].map(() => removeOldJobs(deps(), never)));
    // What all passed over was held by one that has gone on since.
    const rest = await removeOldJobs(deps(), never);
    expect(removed.reduce((sum, n) => sum + n, rest)).toBe(260);
    for (const id of tenants) expect(await statusesOf(id)).toEqual([]);
  });

  it('killed midway, leaves whole jobs behind', async () => {
    const old = await job(await insertTenant(opened.db, 'free'), 'completed', 100);
    const dying = opened.db.transaction(async (tx) => {
      const store = createRetentionStore({ ...tx, transaction: (work) => work(tx) }, eventsOf);
      expect((await store.removeOld()).removed).toBe(1);
      throw new Error('killed');
    });
    await expect(dying).rejects.toThrow('killed');
    expect(await isThere(old)).toBe(true);
    expect(await opened.db.run(EVENTS, [old.jobId])).toEqual([]);
  });
});

describe('the cost of nothing to do', () => {
  const counting = (): { db: typeof opened.db; texts: string[] } => {
    const texts: string[] = [];
    const noting = (on: Queryable): Queryable => ({
      run: (stmt, values) => {
        texts.push(stmt.name);
        return on.run(stmt, values);
      },
    });
    const { db } = opened;
    const transaction: typeof db.transaction = (work) =>
      db.transaction((tx) => work({ ...tx, ...noting(tx) }));
    return { db: { ...db, ...noting(db), transaction }, texts };
  };

  it('is one statement a look, for a thousand tenants as for one', async () => {
    const { db, texts } = counting();
    const cheap = deps({ store: storeOn(db) });
    await clearTenants(cheap, never);
    expect(texts.splice(0)).toEqual(['retention.leaving']);
    await removeOldJobs(cheap, never);
    expect(new Set(texts)).toEqual(new Set(['retention.due']));
  });

  it('and no tenant is passed over for there being many', async () => {
    await opened.db.run(MANY_TENANTS);
    // Its id is a UUIDv7: among random ones it comes early; one that sorts last must be found as well.
    const old = await job(await insertTenant(opened.db, 'free'), 'completed', 100);
    await opened.db.run(
      statement('test.last_tenant', `insert into tenants (id, name) values ($1, 'the last one')`),
      ['ffffffff-ffff-7fff-bfff-ffffffffffff'],
    );
    await opened.db.run(MANY_JOBS, ['ffffffff-ffff-7fff-bfff-ffffffffffff', 1]);
    expect(await removeOldJobs(deps(), never)).toBe(2);
    expect(await isThere(old)).toBe(false);
  });
});

describe('a deleted tenant', () => {
  it('has its open jobs cancelled, and all others removed, and nobody else is touched', async () => {
    const [tenantId, other] = [await insertTenant(opened.db), await insertTenant(opened.db)];
    for (const id of [tenantId, other]) {
      for (const status of ['created', 'queued', 'running', 'paused', 'finalizing'] as const) {
        await job(id, status);
      }
      await job(id, 'completed', 1);
    }
    await deleteTenant(tenantId);
    const worker = deps();
    expect(await clearTenants(worker, never)).toBe(5);
    expect(await statusesOf(tenantId)).toEqual(['cancelling', 'cancelling', 'cancelling', 'finalizing']);
    expect(await statusesOf(other)).toHaveLength(6);
    expect(worker.cancelled.map((ref) => ref.tenantId)).toEqual([tenantId, tenantId, tenantId]);
    const [first] = worker.cancelled;
    expect(await opened.db.run(EVENTS, [first?.jobId])).toEqual([{ type: 'job.cancelling', told: true }]);
  });

  it('is left alone while its jobs come to their ends, and these go then', async () => {
    const tenantId = await insertTenant(opened.db);
    const last = await job(tenantId, 'cancelling');
    await deleteTenant(tenantId, 90);
    expect(await clearTenants(deps(), never)).toBe(0);
    expect([await statusesOf(tenantId), await isCleared(tenantId)]).toEqual([['cancelling'], false]);
    await opened.db.run(REWIND, [decodeId('job', last.jobId), 'cancelled', 0]);
    expect(await clearTenants(deps(), never)).toBe(1);
    expect(await statusesOf(tenantId)).toEqual([]);
  });

  it('is looked at for an hour: what a late request made goes as well', async () => {
    const tenantId = await insertTenant(opened.db);
    await deleteTenant(tenantId, 50);
    await clearTenants(deps(), never);
    expect(await isCleared(tenantId)).toBe(false);
    await job(tenantId, 'created');
    expect(await clearTenants(deps(), never)).toBe(1);
    await deleteTenant(tenantId, 70);
    await clearTenants(deps(), never);
    expect([await statusesOf(tenantId), await isCleared(tenantId)]).toEqual([[], true]);
    expect(await storeOn().leaving()).not.toContain(tenantId);
  });

  it('with hundreds of jobs is cleared by several workers at once, each job going once', async () => {
    const tenantId = await insertTenant(opened.db);
    await opened.db.run(MANY_JOBS, [decodeId('tenant', tenantId), 230]);
    await deleteTenant(tenantId);
    const removed = await Promise.all([1, 2].map(() => clearTenants(deps(), never)));
    const rest = await clearTenants(deps(), never);
    expect(removed.reduce((sum, n) => sum + n, rest)).toBe(230);
    expect(await statusesOf(tenantId)).toEqual([]);
  });
});

test('the loop of the worker finds both while it runs, outlives a failure, and stops when it is told to', async () => {
  const errors: unknown[] = [];
  const store = storeOn();
  let failures = 1;
  const removeOld: typeof store.removeOld = async (from) => {
    if (failures-- > 0) throw new Error('away');
    return store.removeOld(from);
  };
  const loop = startRetention({
    ...deps({ store: { ...store, removeOld } }),
    onError: (error) => errors.push(error),
    oldMs: 10,
    deletedMs: 10,
  });
  const [tenantId, deleted] = [await insertTenant(opened.db, 'free'), await insertTenant(opened.db)];
  const old = await job(tenantId, 'completed', 100);
  await job(deleted, 'running');
  await deleteTenant(deleted);
  await until('the old job to go', async () => !(await isThere(old)));
  await until('the cancel', async () => (await statusesOf(deleted))[0] === 'cancelling');
  await loop.stop();
  expect(errors).toHaveLength(1);
  const later = await job(tenantId, 'completed', 100);
  expect(await isThere(later)).toBe(true);
});
