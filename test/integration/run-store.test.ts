import type { JobOptions, JobRef } from '../../src/domain/batch/job';
import { decodeId } from '../../src/domain/ids';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { createChunkStore, type ChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import { insertTenant, openTestDatabase } from '../support/database';
import { numbers, queuedJob } from '../support/jobs';

const FREE_SEATS = 2;
const FREE_CONCURRENCY = 20;

describe('run store', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let runs: RunStore;
  let chunks: ChunkStore;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    runs = createRunStore(db, createEventStore);
    chunks = createChunkStore(db);
  });
  afterAll(() => close());

  const jobOf = (tenantId: string, options: Partial<JobOptions> = {}, items = 10): Promise<JobRef> =>
    queuedJob(db, { tenantId, inputs: numbers(items), options });
  const tenantOn = (plan: string): Promise<string> => insertTenant(db, plan);
  const statusAfterBegin = async (ref: JobRef): Promise<string | undefined> =>
    (await runs.begin(ref))?.status;
  const set = (ref: JobRef, assignment: string): Promise<unknown> =>
    db.run({ name: 'test.set', text: `update jobs set ${assignment} where id = $1`, prepared: false }, [
      decodeId('job', ref.jobId),
    ]);

  describe('seats', () => {
    test('as many jobs of a tenant run as its plan allows, also when all begin at once; the rest waits as queued', async () => {
      const tenant = await tenantOn('free');
      const jobs: JobRef[] = [];
      for (let n = 0; n < FREE_SEATS + 4; n++) jobs.push(await jobOf(tenant));
      await Promise.all(jobs.map((job) => runs.begin(job)));
      const statuses = await Promise.all(jobs.map(async (job) => (await runs.find(job))?.status));
      expect(statuses.filter((status) => status === 'running').length).toBeLessThanOrEqual(FREE_SEATS);
      // In order, one after the other, they find the seats that are left.
      for (const job of jobs) await runs.begin(job);
      const after = await Promise.all(jobs.map(async (job) => (await runs.find(job))?.status));
      expect(after).toEqual(jobs.map((_, n) => (n < FREE_SEATS ? 'running' : 'queued')));
    });

    test('one tenant’s jobs take no seat of another’s', async () => {
      const [a, b] = [await tenantOn('free'), await tenantOn('free')];
      for (let n = 0; n < FREE_SEATS; n++) await runs.begin(await jobOf(a));
      expect(await statusAfterBegin(await jobOf(b))).toBe('running');
    });

    test('a seat that is free again goes to the job with the best priority, then to the oldest', async () => {
      const tenant = await tenantOn('free');
      const running: JobRef[] = [];
      for (let n = 0; n < FREE_SEATS; n++) running.push(await jobOf(tenant));
      for (const job of running) await runs.begin(job);
      const [older, newer] = [await jobOf(tenant), await jobOf(tenant)];
      const urgent = await jobOf(tenant, { priority: 1 });
      await set(running[0] as JobRef, `status = 'paused', desired = 'paused'`);
      expect(await runs.nextWaiting(tenant)).toEqual(urgent);
      expect(await statusAfterBegin(older)).toBe('queued');
      expect(await statusAfterBegin(urgent)).toBe('running');
      expect(await runs.nextWaiting(tenant)).toEqual(older);
      await set(running[1] as JobRef, `status = 'finalizing'`);
      expect(await statusAfterBegin(newer)).toBe('queued');
      expect(await statusAfterBegin(older)).toBe('running');
    });

    test('a job that is to be paused stands in nobody’s way', async () => {
      const tenant = await tenantOn('free');
      const paused = await jobOf(tenant);
      await set(paused, `desired = 'paused', status = 'paused'`);
      for (let n = 0; n < FREE_SEATS; n++)
        expect(await statusAfterBegin(await jobOf(tenant))).toBe('running');
      expect(await statusAfterBegin(paused)).toBe('paused');
    });

    test('a plan without a limit has a seat for each', async () => {
      const tenant = await tenantOn('unlimited');
      for (let n = 0; n < 5; n++) expect(await statusAfterBegin(await jobOf(tenant))).toBe('running');
    });
  });

  describe('limits', () => {
    test('a job has the items in flight that it asks for, within its plan', async () => {
      const free = await jobOf(await tenantOn('free'), { max_concurrency: 500 });
      expect((await runs.find(free))?.limits.concurrency).toBe(FREE_CONCURRENCY);
      const unlimited = await jobOf(await tenantOn('unlimited'), { max_concurrency: 500, max_rps: 2.5 });
      expect((await runs.find(unlimited))?.limits).toEqual({ concurrency: 500, maxRps: 2.5 });
    });

    test('whoever watches running jobs sees new limits, tolerances and wishes', async () => {
      const ref = await jobOf(await tenantOn('unlimited'), { tolerated_failure: { percentage: 50 } });
      await runs.begin(ref);
      const options = `'{"max_concurrency":7,"max_rps":null,"tolerated_failure":{"count":3},"priority":3}'`;
      await set(ref, `options = ${options}, desired = 'paused', status = 'paused'`);
      expect(await runs.watch([ref.jobId])).toEqual([
        {
          jobId: ref.jobId,
          status: 'paused',
          desired: 'paused',
          outcome: null,
          limits: { concurrency: 7, maxRps: null },
          tolerated: 3,
        },
      ]);
    });
  });

  describe('ends', () => {
    const outcome = (index: number, status: 'succeeded' | 'failed'): ItemOutcome => ({
      index,
      status,
      output: status === 'succeeded' ? '1' : null,
      error: status === 'failed' ? { code: 'handler_failed', message: 'no' } : null,
      attempts: 1,
      durationMs: 1,
    });
    const failing = async (ref: JobRef, failed: number): Promise<void> => {
      const hold = await chunks.take({ ...ref, no: 0 });
      if (hold === undefined || 'status' in hold) throw new Error('not taken');
      const outcomes = Array.from({ length: failed }, (_, index) => outcome(index, 'failed'));
      await chunks.write({ ...ref, no: 0, epoch: hold.epoch }, outcomes, 0);
    };

    test('exactly the tolerated failures are borne; one more decides that the job ends as failed, with its results', async () => {
      const ref = await jobOf(await tenantOn('unlimited'), { tolerated_failure: { count: 3 } });
      await runs.begin(ref);
      await failing(ref, 3);
      expect(await runs.exceed(ref, 3)).toBe(false);
      await failing(ref, 4);
      expect(await runs.exceed(ref, 3)).toBe(true);
      expect((await runs.find(ref))?.outcome).toBe('tolerance_exceeded');
      await runs.finalize(ref, 'drained');
      const end = await runs.finish(ref, { outcome: 'tolerance_exceeded', summary: null });
      expect(end).toEqual({ status: 'failed', succeeded: 0, failed: 4, cancelled: 6 });
    });

    test('a failure too many that came with the very last item ends the job as failed, too', async () => {
      const ref = await jobOf(await tenantOn('unlimited'), { tolerated_failure: { percentage: 20 } });
      await runs.begin(ref);
      await failing(ref, 3);
      const fixed = await runs.finalize(ref, 'drained');
      expect(fixed?.outcome).toBe('drained');
      expect(await runs.finish(ref, { outcome: 'drained', summary: null })).toMatchObject({
        status: 'failed',
      });
    });

    test.each(['queued', 'running', 'paused'])(
      'a job that expires while it is %s ends as expired, whoever finalizes it',
      async (status) => {
        const ref = await jobOf(await tenantOn('unlimited'));
        if (status !== 'queued') await runs.begin(ref);
        if (status === 'paused') await set(ref, `status = 'paused', desired = 'paused', paused_at = now()`);
        await runs.expire(ref);
        expect(await runs.find(ref)).toMatchObject({ status: 'cancelling', outcome: 'expired' });
        const fixed = await runs.finalize(ref, 'cancelled');
        expect(fixed?.outcome).toBe('expired');
        const end = await runs.finish(ref, { outcome: 'expired', summary: null });
        expect(end).toMatchObject({ status: 'expired', cancelled: 10 });
      },
    );

    test('a job that was cancelled before its time was up ends as cancelled', async () => {
      const ref = await jobOf(await tenantOn('unlimited'));
      await runs.begin(ref);
      await set(ref, `status = 'cancelling', desired = 'cancelled'`);
      await runs.expire(ref);
      expect((await runs.finalize(ref, 'cancelled'))?.outcome).toBe('cancelled');
    });
  });
});
