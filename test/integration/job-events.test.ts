import type { Counts } from '../../src/domain/batch/job';
import { decodeId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { createChunkStore } from '../../src/platform/postgres/chunk-store';
import { createEventStore } from '../../src/platform/postgres/event-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import { createRunStore } from '../../src/platform/postgres/run-store';
import { statement } from '../../src/platform/postgres/statement';
import { insertTenant, openTestDatabase } from '../support/database';
import { jobsOf, numbers, queuedJob } from '../support/jobs';

const EVENT_DATA = statement<{ data: string }>(
  'test.event_data',
  'select data from events where tenant_id = $1 and subject = $2 and type = $3',
);
const NEWEST_EVENTS = statement<{ type: string; subject: string }>(
  'test.newest_events',
  'select type, subject from events where tenant_id = $1 order by seq desc',
);
const CHUNK_LEFT = statement(
  'test.chunk_left',
  'insert into chunks (job_id, no, succeeded, failed, done) values ($1, 0, 2, 1, true)',
);

describe('the events of a job', () => {
  let db: PostgresDatabase;
  let close: () => Promise<void>;
  let tenantId: string;

  beforeAll(async () => {
    ({ db, close } = await openTestDatabase());
  });
  beforeEach(async () => {
    tenantId = await insertTenant(db);
  });
  afterAll(() => close());

  const countsOf = async (jobId: string, type: string): Promise<Counts> => {
    const [row] = await db.run(EVENT_DATA, [decodeId('tenant', tenantId), jobId, type]);
    return (JSON.parse(row?.data ?? '{}') as { counts: Counts }).counts;
  };

  test('job.cancelling says what was done when it was asked for', async () => {
    const ref = await queuedJob(db, { tenantId, inputs: numbers(10) });
    await createRunStore(db, createEventStore).begin(ref);
    const chunks = createChunkStore(db);
    const chunk = { ...ref, no: 0 };
    const hold = await chunks.take(chunk);
    if (hold === undefined || 'status' in hold) throw new Error('not taken');
    const ended = [0, 1, 2].map((index) => ({
      index,
      status: 'succeeded' as const,
      output: '1',
      error: null,
      attempts: 1,
      durationMs: 1,
    }));
    await chunks.write({ ...chunk, epoch: hold.epoch }, ended, 2);
    const { counts } = await db.transaction((tx) => jobsOf(tx).cancel(ref));
    expect(counts).toMatchObject({ total: 10, succeeded: 3, running: 2, pending: 5 });
    expect(await countsOf(ref.jobId, 'job.cancelling')).toEqual(counts);
  });

  test('job.started of a job that has chunks already counts what they came to', async () => {
    const ref = await queuedJob(db, { tenantId, inputs: numbers(10) });
    await db.run(CHUNK_LEFT, [decodeId('job', ref.jobId)]);
    await createRunStore(db, createEventStore).begin(ref);
    expect(await countsOf(ref.jobId, 'job.started')).toMatchObject({ succeeded: 2, failed: 1, pending: 7 });
  });

  test('are listed in the order in which they were written, whatever times their ids carry', async () => {
    const [older, newer] = [newId('job'), newId('job')];
    const append = (subject: string, ...types: string[]): Promise<void> =>
      createEventStore(db).append(types.map((type) => ({ tenantId, subject, type, data: '{}' })));
    await append(newer, 'job.created', 'job.queued');
    await append(older, 'job.completed', 'job.created');
    await append(newer, 'job.created', 'job.started');
    const rows = await db.run(NEWEST_EVENTS, [decodeId('tenant', tenantId)]);
    expect(rows.map(({ type, subject }) => [type, subject === newer ? 'newer' : 'older'])).toEqual([
      ['job.started', 'newer'],
      ['job.created', 'older'],
      ['job.completed', 'older'],
      ['job.queued', 'newer'],
      ['job.created', 'newer'],
    ]);
  });
});
