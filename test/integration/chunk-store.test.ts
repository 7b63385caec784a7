import { ResultWriter } from '../../src/activities/batch/result-writer';
import type { ItemOutcome } from '../../src/domain/handler/contract';
import { decodeId } from '../../src/domain/ids';
import { type ChunkRef, CLEAN_ITEMS_MIN, type Hold, LOST_ATTEMPTS_MAX } from '../../src/domain/batch/run';
import { createChunkStore, type ChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore, type RunStore } from '../../src/platform/postgres/run-store';
import { insertTenant, openTestDatabase } from '../support/database';
import { jobsOf, numbers, queuedJob } from '../support/jobs';

const ok = (index: number, output = String(index)): ItemOutcome => ({
  index,
  status: 'succeeded',
  output,
  error: null,
  attempts: 1,
  durationMs: 1,
});

describe('chunk store', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let chunks: ChunkStore;
  let runs: RunStore;
  let tenantId: string;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
    chunks = createChunkStore(db);
    runs = createRunStore(db, createEventStore);
    tenantId = await insertTenant(db);
  });
  afterAll(() => close());

  const runningJob = async (n = 100): Promise<{ tenantId: string; jobId: string; no: number }> => {
    const ref = await queuedJob(db, { tenantId, inputs: numbers(n) });
    await runs.begin(ref);
    return { ...ref, no: 0 };
  };
  const take = async (ref: { tenantId: string; jobId: string; no: number }): Promise<Hold> => {
    const hold = await chunks.take(ref);
    if (hold === undefined || 'status' in hold) throw new Error('not taken');
    return hold;
  };
  const results = async (
    jobId: string,
  ): Promise<{ index: number; output: unknown; status: string; code: string | null }[]> =>
    db.run(
      {
        name: 'test.results',
        text: `select index, output, status, error->>'code' as code from results where job_id = $1 order by index`,
      },
      [decodeId('job', jobId)],
    );

  test('a newer attempt fences the older one off: not one of its later writes lands', async () => {
    const ref = await runningJob();
    const old = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.write(old, [ok(0)], 1);
    const fresh = { ...ref, epoch: (await take(ref)).epoch };
    await expect(chunks.write(old, [ok(1)], 0)).rejects.toMatchObject({ code: 'superseded' });
    await expect(chunks.mark(old, 1)).rejects.toMatchObject({ code: 'superseded' });
    await expect(chunks.handBack(old, true)).rejects.toMatchObject({ code: 'superseded' });
    await chunks.write(fresh, [ok(1)], 0);
    expect((await results(ref.jobId)).map((r) => r.index)).toEqual([0, 1]);
    expect(await chunks.handBack(fresh, false)).toEqual({ succeeded: 2, failed: 0 });
  });

  test('counters move by the rows really inserted: an item written twice counts once', async () => {
    const ref = await runningJob();
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.write(held, [ok(0), ok(1)], 0);
    await chunks.write(held, [ok(1), ok(2)], 0);
    expect(await chunks.handBack(held, false)).toEqual({ succeeded: 3, failed: 0 });
    expect((await jobsOf(db).find(ref)).counts).toMatchObject({ succeeded: 3, pending: 97, total: 100 });
  });

  test('once a job is finalizing no chunk can be taken, and those that were taken can write no more', async () => {
    const ref = await runningJob();
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await runs.finalize(ref, 'cancelled');
    await expect(chunks.write(held, [ok(0)], 0)).rejects.toMatchObject({ code: 'superseded' });
    expect(await chunks.take({ ...ref, no: 1 })).toEqual({ status: 'finalizing' });
  });

  test('a chunk that is taken while the job turns to finalizing is fenced off all the same', async () => {
    for (let round = 0; round < 20; round++) {
      const ref = await runningJob(10);
      const [hold] = await Promise.all([chunks.take(ref), runs.finalize(ref, 'cancelled')]);
      if (hold === undefined || 'status' in hold) continue;
      await expect(chunks.write({ ...ref, epoch: hold.epoch }, [ok(0)], 0)).rejects.toMatchObject({
        code: 'superseded',
      });
    }
  });

  test('an attempt found held is a lost one; a result that is written clears the count', async () => {
    const ref = await runningJob();
    await take(ref);
    expect(await take(ref)).toMatchObject({ lost_attempts: 1 });
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.handBack(held, false);
    expect(await take(ref)).toMatchObject({ lost_attempts: 2 });
    const other = { ...ref, no: 1 };
    await take(other);
    await chunks.write({ ...other, epoch: (await take(other)).epoch }, [ok(60)], 0);
    expect(await take(other)).toMatchObject({ lost_attempts: 1 });
  });

  const lostWhileRunning = async (ref: ChunkRef, index: number): Promise<void> => {
    await chunks.mark({ ...ref, epoch: (await take(ref)).epoch }, index);
  };

  test('a crash is laid to the item that was marked by that very attempt, and counts while it is the same one', async () => {
    const ref = await runningJob();
    await lostWhileRunning(ref, 7);
    expect(await take(ref)).toMatchObject({ suspect_index: 7, suspect_crashes: 1 });
    await lostWhileRunning(ref, 7);
    expect(await take(ref)).toMatchObject({ suspect_index: 7, suspect_crashes: 2 });
    await lostWhileRunning(ref, 8);
    expect(await take(ref)).toMatchObject({ suspect_index: 8, suspect_crashes: 1 });
  });

  test('attempts that are lost while they wait for their turn, or between two items, make no suspect', async () => {
    const ref = await runningJob();
    await lostWhileRunning(ref, 7);
    for (let n = 0; n < 3; n++) await take(ref);
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.mark(held, 8);
    await chunks.write(held, [ok(8)], 0);
    expect(await take(ref)).toMatchObject({ lost_attempts: 5, suspect_index: 7, suspect_crashes: 1 });
  });

  test('a mark stays while only the number of running items is written', async () => {
    const ref = await runningJob();
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.mark(held, 3);
    await chunks.write(held, [], 1);
    expect(await take(ref)).toMatchObject({ suspect_index: 3, suspect_crashes: 1 });
  });

  test('a suspect stays one when its chunk is handed back for want of a turn, and that is no lost attempt', async () => {
    const ref = await runningJob();
    await lostWhileRunning(ref, 7);
    const hold = await take(ref);
    await chunks.handBack({ ...ref, epoch: hold.epoch }, false);
    expect(await take(ref)).toMatchObject({
      lost_attempts: hold.lost_attempts,
      suspect_index: 7,
      suspect_crashes: 1,
    });
  });

  test('with its suspect given up a chunk runs side by side again, and the next lost attempt isolates it', async () => {
    const ref = await runningJob();
    await lostWhileRunning(ref, 7);
    await lostWhileRunning(ref, 7);
    const held = { ...ref, epoch: (await take(ref)).epoch };
    const error = { code: 'handler_crashed', message: 'x' };
    await chunks.giveUpSuspect(held, { ...ok(7), status: 'failed', output: null, error });
    expect(await results(ref.jobId)).toMatchObject([{ index: 7, status: 'failed', code: 'handler_crashed' }]);
    await chunks.handBack(held, false);
    expect(await take(ref)).toMatchObject({ lost_attempts: LOST_ATTEMPTS_MAX - 1, suspect_index: null });
    expect(await take(ref)).toMatchObject({ lost_attempts: LOST_ATTEMPTS_MAX });
  });

  test('a chunk is trusted again after enough items in a row, however many attempts they took', async () => {
    const ref = await runningJob(1_000);
    for (let n = 0; n <= LOST_ATTEMPTS_MAX; n++) await take(ref);
    let hold = await take(ref);
    expect(hold).toMatchObject({ clean_items: 0 });
    for (let index = 0; index < CLEAN_ITEMS_MIN; index++) {
      expect(hold).toMatchObject({ lost_attempts: LOST_ATTEMPTS_MAX + 1, clean_items: index });
      const held = { ...ref, epoch: hold.epoch };
      await chunks.write(held, [ok(index)], 0);
      await chunks.handBack(held, false);
      hold = await take(ref);
    }
    expect(hold).toMatchObject({ lost_attempts: 0 });
  });

  test('items in a row are counted anew when an attempt is lost', async () => {
    const ref = await runningJob();
    for (let n = 0; n <= LOST_ATTEMPTS_MAX; n++) await take(ref);
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.write(held, [ok(0), ok(1)], 0);
    expect(await take(ref)).toMatchObject({ lost_attempts: LOST_ATTEMPTS_MAX + 2, clean_items: 0 });
  });

  test('only items without a result are read, bounded by rows and by bytes, and the first always comes', async () => {
    const ref = await queuedJob(db, {
      tenantId,
      inputs: numbers(10).map((n) => JSON.stringify(n.repeat(1_000))),
    });
    await runs.begin(ref);
    const chunk = { ...ref, no: 0 };
    const held = { ...chunk, epoch: (await take(chunk)).epoch };
    await chunks.write(held, [ok(1), ok(3)], 0);
    const read = async (limit: number, bytesMax: number): Promise<number[]> =>
      (
        await chunks.readPending(chunk, { upload: 1, after: -1, end: 10, limit, bytesMax, due: new Date(0) })
      ).map((item) => item.index);
    expect(await read(3, 1e9)).toEqual([0, 2, 4]);
    expect(await read(100, 1e9)).toEqual([0, 2, 4, 5, 6, 7, 8, 9]);
    expect(await read(100, 2_500)).toEqual([0, 2, 4]);
    expect(await read(100, 1)).toEqual([0]);
  });

  test.each([
    ['an escaped U+0000', '{"a":"\\u0000"}'],
    ['a lone surrogate', '"\\ud800"'],
    ['a number beyond numeric', '1e400000'],
    ['text that is no JSON', '{"a":'],
  ])('%s in one output fails that item only, whatever stands around it', async (_what, poison) => {
    const ref = await runningJob();
    const held = { ...ref, epoch: (await take(ref)).epoch };
    const failures: unknown[] = [];
    const writer = new ResultWriter({
      write: (outcomes, running) => chunks.write(held, outcomes, running),
      running: () => 0,
      onWritten: () => undefined,
      onError: (error) => failures.push(error),
      intervalMs: 60_000,
    });
    for (let i = 0; i < 100; i++) writer.add(i === 37 ? ok(i, poison) : ok(i));
    await writer.flush();
    writer.close();
    expect(failures).toEqual([]);
    const rows = await results(ref.jobId);
    expect(rows).toHaveLength(100);
    expect(rows.filter((row) => row.status === 'failed')).toEqual([
      { index: 37, output: null, status: 'failed', code: 'output_not_storable' },
    ]);
    expect(await chunks.handBack(held, true)).toEqual({ succeeded: 99, failed: 1 });
  });

  test('an output is kept to the letter: order of keys, spaces, digits', async () => {
    const ref = await runningJob();
    const held = { ...ref, epoch: (await take(ref)).epoch };
    const output = '{"z": 1.10, "a":12345678901234567890123, "z2":"\\u00e9"}';
    await chunks.write(held, [ok(0, output)], 0);
    const [row] = await db.run<{ output: string }>(
      { name: 'test.output', text: 'select output::text from results where job_id = $1' },
      [decodeId('job', ref.jobId)],
    );
    expect(row?.output).toBe(output);
  });

  test('a job ends with counts that are taken from its results, once, however often it is finished', async () => {
    const ref = await runningJob(10);
    const held = { ...ref, epoch: (await take(ref)).epoch };
    await chunks.write(
      held,
      [ok(0), ok(1), { ...ok(2), status: 'failed', output: null, error: { code: 'x', message: 'y' } }],
      0,
    );
    await runs.finalize(ref, 'cancelled');
    const end = { outcome: 'cancelled', summary: null } as const;
    const first = await runs.finish(ref, end);
    expect(first).toEqual({ status: 'cancelled', succeeded: 2, failed: 1, cancelled: 7 });
    expect(await runs.finish(ref, end)).toEqual(first);
    const events = await db.run<{ type: string }>(
      { name: 'test.events', text: 'select type from events where subject = $1 order by seq' },
      [ref.jobId],
    );
    expect(events.map((e) => e.type)).toEqual(['job.created', 'job.queued', 'job.started', 'job.cancelled']);
  });

  test('another tenant’s job is the same as none', async () => {
    const ref = await runningJob();
    const stranger = { ...ref, tenantId: await insertTenant(db) };
    expect(await chunks.take(stranger)).toBeUndefined();
    expect(await runs.begin(stranger)).toBeUndefined();
    await expect(jobsOf(db).find(stranger)).rejects.toMatchObject({ code: 'not_found' });
    await expect(jobsOf(db).cancel(stranger)).rejects.toMatchObject({ code: 'not_found' });
  });
});
