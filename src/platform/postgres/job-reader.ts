/** Single jobs, for those who only read them: who comes while a statement is under way shares the next one. */
import DataLoader from 'dataloader';
import type { Job, JobRef } from '../../domain/batch/job';
import { tryDecodeId } from '../../domain/ids';
import { noSuchJob } from './job-find';
import { JOB_COLUMNS, type JobRow, LIVE_COUNTS, toJob } from './job-row';
import { type Queryable, statement } from './statement';

/** Each pair is looked up by itself, whatever the planner thinks of the table. Rows come in no order; pairs unknown have none. */
export const JOB_FIND_EACH = statement<JobRow>(
  'job.find_each',
  `select ${JOB_COLUMNS} from unnest($1::uuid[], $2::uuid[]) as wanted (tenant_id, id)
   cross join lateral (select * from jobs where tenant_id = wanted.tenant_id and id = wanted.id limit 1) j ${LIVE_COUNTS}`,
);

const JOBS_AT_ONCE = 500;
/** Between the beginnings of two statements, where readers come faster than that. */
const APART_MS = 2;
/** So many readers make a statement worth its while. */
const ENOUGH = 40;
/** As long as each round of the event loop brings more readers, fewer wait for them; but no longer than this. */
const MORE_MAX_MS = 8;
/** One connection that hangs must not keep everybody from the others. */
const WAIT_MAX_MS = 50;

export interface JobReader {
  /**
   * As it stands in a statement that begins after the call: whatever was committed before is in it. Those who ask for one job
   * together get one object. @throws AppError `not_found`: another tenant's job answers like none
   */
  find(ref: JobRef): Promise<Readonly<Job>>;
}

export function createJobReader(db: Queryable): JobReader {
  const turns = createTurns();
  const loader = new DataLoader<JobRef, Job>((refs) => turns.run(() => findEach(db, refs)), {
    cache: false,
    maxBatchSize: JOBS_AT_ONCE,
    batchScheduleFn: turns.schedule,
  });
  return {
    find: (ref) => {
      turns.come();
      return loader.load(ref);
    },
  };
}

interface Turns {
  /** One more reader is there. */
  come(): void;
  /** Calls `dispatch` when it is the readers' turn. */
  schedule(dispatch: () => void): void;
  run<T>(work: () => Promise<T>): Promise<T>;
}

/**
 * One who comes alone goes at the end of this round of the event loop, with all who arrived in it. The others wait for what is
 * under way to end; and while the process is so busy that each round brings more of them, for those. A statement costs about
 * as much as ten requests, so in a busy process it should be for many of them. As many as make one worth its while need not wait
 * for the only one that is under way: the process would stand idle until its answer.
 */
function createTurns(): Turns {
  let readers = 0;
  let dispatches: (() => void)[] = [];
  let underWay = 0;
  let begunAtMs = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  const go = (): void => {
    clearTimeout(timer);
    const all = dispatches;
    dispatches = [];
    readers = 0;
    for (const dispatch of all) dispatch();
  };
  const goWhenAllAreHere = (lastMs = performance.now() + MORE_MAX_MS): void => {
    const before = readers;
    setImmediate(() => {
      if (readers > before && readers < ENOUGH && performance.now() < lastMs) goWhenAllAreHere(lastMs);
      else go();
    });
  };
  const arm = (): void => {
    clearTimeout(timer);
    const earlyMs = APART_MS - (performance.now() - begunAtMs);
    if (underWay > 0) timer = setTimeout(go, WAIT_MAX_MS);
    else if (earlyMs > 0) timer = setTimeout(goWhenAllAreHere, earlyMs);
    else goWhenAllAreHere();
  };
  return {
    come: () => {
      readers++;
      if (underWay === 1 && readers === ENOUGH) setImmediate(go);
    },
    schedule: (dispatch) => {
      dispatches.push(dispatch);
      if (dispatches.length === 1) arm();
    },
    run: async (work) => {
      underWay++;
      begunAtMs = performance.now();
      try {
        return await work();
      } finally {
        underWay--;
        if (dispatches.length > 0) arm();
      }
    },
  };
}

async function findEach(db: Queryable, refs: readonly JobRef[]): Promise<(Job | Error)[]> {
  const asked = new Map(refs.map((ref) => [`${ref.tenantId} ${ref.jobId}`, ref]));
  const tenants: string[] = [];
  const ids: string[] = [];
  for (const { tenantId, jobId } of asked.values()) {
    const [tenant, id] = [tryDecodeId('tenant', tenantId), tryDecodeId('job', jobId)];
    if (tenant === undefined || id === undefined) continue;
    tenants.push(tenant);
    ids.push(id);
  }
  const rows = await db.run(JOB_FIND_EACH, [tenants, ids]);
  const jobs = new Map(rows.map(toJob).map((job) => [`${job.tenant_id} ${job.id}`, job]));
  return refs.map((ref) => jobs.get(`${ref.tenantId} ${ref.jobId}`) ?? noSuchJob());
}
