/**
 * Rows are the truth: whatever should run and doesn't is started again. A sealed job that was never started, a workflow
 * that was terminated, failed or lost with all of Temporal's data, a wake-up that got lost: each only delays its job.
 */

export interface DrivenJob {
  tenantId: string;
  jobId: string;
  handler: string;
  priority: number;
  unseen: boolean;
}

export interface SweepDeps {
  store: {
    claimDriven(now: Date, before: Date, limit: number): Promise<DrivenJob[]>;
  };
  engine: {
    isDriven(job: DrivenJob): Promise<boolean>;
    start(job: DrivenJob): Promise<void>;
    wake(job: DrivenJob): Promise<void>;
  };
  clock: { now(): Date };
  log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** how long a job is left in peace after a look */
  recheckMs: number;
}

const JOBS_PER_SWEEP = 200;
const AT_ONCE = 8;

/** One sweep. @returns how many jobs were looked after */
export async function sweep(deps: SweepDeps): Promise<number> {
  const now = deps.clock.now();
  const before = new Date(now.getTime() - deps.recheckMs);
  const jobs = await deps.store.claimDriven(now, before, JOBS_PER_SWEEP);
  const queue = jobs.values();
  const work = async (): Promise<void> => {
    for (const job of queue) await lookAfter(deps, job);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return jobs.length;
}

/** One job's trouble must not keep the sweep from the others; it is looked at again in the next round. */
async function lookAfter(deps: SweepDeps, job: DrivenJob): Promise<void> {
  try {
    if (!(await deps.engine.isDriven(job))) {
      await deps.engine.start(job);
      deps.log.info(
        { job_id: job.jobId, tenant_id: job.tenantId },
        'the sweep started the workflow of a job',
      );
    } else if (job.unseen) {
      await deps.engine.wake(job);
    }
  } catch (error) {
    deps.log.warn(
      { err: error, job_id: job.jobId, tenant_id: job.tenantId },
      'the sweep could not look after a job',
    );
  }
}
