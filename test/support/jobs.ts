import { DEFAULT_OPTIONS, type JobOptions } from '../../src/domain/batch/job';
import type { Reduce } from '../../src/domain/batch/reduce';
import { decodeId } from '../../src/domain/ids';
import { newId } from '../../src/platform/clock';
import { createEventStore } from '../../src/platform/postgres/event-store';
import { createJobStore, type JobStore } from '../../src/platform/postgres/job-store';
import type { PostgresDatabase } from '../../src/platform/postgres/pool';
import type { Queryable } from '../../src/platform/postgres/statement';

export function jobsOf(db: Queryable): JobStore {
  return createJobStore(db, createEventStore(db));
}

export interface TestJob {
  tenantId: string;
  /** JSON text each */
  inputs: readonly string[];
  handler?: string;
  reduce?: Reduce;
  options?: Partial<JobOptions>;
  keyId?: string;
  params?: null | Record<string, string>;
}

/** A job that is sealed and queued, with no workflow. */
export async function queuedJob(
  db: PostgresDatabase,
  job: TestJob,
): Promise<{ tenantId: string; jobId: string }> {
  const ref = { tenantId: job.tenantId, jobId: newId('job') };
  await db.transaction(async (tx) => {
    const jobs = jobsOf(tx);
    await jobs.insert({
      id: ref.jobId,
      tenantId: ref.tenantId,
      keyId: job.keyId ?? null,
      name: null,
      handler: job.handler ?? 'echo',
      params: job.params ?? null,
      reduce: job.reduce ?? null,
      options: { ...DEFAULT_OPTIONS, ...job.options },
      metadata: {},
    });
    const upload = await jobs.openUpload(ref);
    await tx.run(
      {
        name: 'test.items',
        text: `insert into items (job_id, upload, index, input)
               select $1, $2, t.n - 1, t.input::json from unnest($3::text[]) with ordinality t(input, n)`,
      },
      [decodeId('job', ref.jobId), upload, job.inputs],
    );
    await jobs.finishUpload({ ...ref, upload, total: job.inputs.length });
    await jobs.start(ref);
  });
  return ref;
}

export function numbers(n: number): string[] {
  return Array.from({ length: n }, (_, i) => String(i));
}
