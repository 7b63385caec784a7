/** One tenant with very many items, another with few, and one worker for both. */
import { Connection } from '@temporalio/client';
import { TASK_QUEUES } from '../../src/domain/batch/engine';
import { type ApiClient, createTenant, createTenantWith } from '../support/api-client';
import { jobEnded, numbered, readJob, uploadNumbered } from '../support/job-client';
import { startOwnTemporal } from '../support/own-servers';
import { HANDLERS_DIR, type Product, startProduct } from '../support/product';
import { until } from '../support/wait';

export interface Sizes {
  /**
   * Of the large tenant. A job never has more chunks in the queue than it may run at once, so it takes many jobs to build the
   * backlog behind which a small tenant would have to wait.
   */
  jobs: number;
  itemsPerJob: number;
  /** of the small tenant, in one job */
  few: number;
  /** of each item of the large tenant */
  ms: number;
}

export interface Race extends Sizes {
  /** the small tenant's job, begun when the large one's backlog was there */
  small: { client: ApiClient; id: string };
  /** items that the large tenant has done */
  largeDone(): Promise<number>;
  close(): Promise<void>;
}

/** Few, so that the backlog is long. */
const CHUNK_SLOTS = 2;
/** Chunks of each large job that wait at once, of the four that it may run: each is a sixteenth of it, so two are over a tenth. */
const BACKLOG_PER_JOB = 2;

export async function startRace(fairness: boolean, sizes: Sizes): Promise<Race> {
  const temporal = await startOwnTemporal({ fairness });
  const { address } = temporal;
  const namespace = 'default';
  const product = await startProduct({
    temporalAddress: address,
    namespace,
    env: { MILLRACE_HANDLERS_DIR: HANDLERS_DIR, MILLRACE_CHUNK_SLOTS: String(CHUNK_SLOTS) },
  });
  const close = async (): Promise<void> => {
    await product.close();
    await temporal.remove();
  };
  try {
    return { ...sizes, ...(await begin({ product, address, namespace }, sizes)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Setting {
  product: Product;
  /** of Temporal */
  address: string;
  namespace: string;
}

async function begin(setting: Setting, sizes: Sizes): Promise<Pick<Race, 'small' | 'largeDone'>> {
  const { product } = setting;
  const large = await createTenant(product, 'premium');
  const client = await createTenantWith(product, { running_jobs: 2 });
  const ids: string[] = [];
  for (let n = 0; n < sizes.jobs; n++) {
    const items = numbered(sizes.itemsPerJob, { ms: sizes.ms });
    ids.push((await uploadNumbered(large, { handler: 'tick' }, items)).id);
  }
  // Only now, so that little is done before everything waits.
  await product.startWorker();
  await until('a backlog', async () => (await backlog(setting)) > sizes.jobs * BACKLOG_PER_JOB);
  const { id } = await uploadNumbered(client, { handler: 'tick' }, numbered(sizes.few));
  const largeDone = async (): Promise<number> => {
    const jobs = await Promise.all(ids.map((each) => readJob(large, each)));
    return jobs.reduce((sum, { counts }) => sum + counts.succeeded, 0);
  };
  return { small: { client, id }, largeDone };
}

/** TASK_QUEUE_TYPE_ACTIVITY of Temporal's API. */
const ACTIVITIES = 2;

/** Chunks that wait for a worker. */
async function backlog({ address, namespace }: Setting): Promise<number> {
  const connection = await Connection.connect({ address });
  try {
    const { stats } = await connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: TASK_QUEUES.batch },
      taskQueueType: ACTIVITIES,
      reportStats: true,
    });
    return Number(stats?.approximateBacklogCount ?? 0);
  } finally {
    await connection.close();
  }
}

/** The small tenant's job ends before the large tenant has done a tenth. */
export async function expectFairness({ small, largeDone, jobs, itemsPerJob, few }: Race): Promise<void> {
  const ended = await jobEnded(small.client, small.id);
  const done = await largeDone();
  expect(ended).toMatchObject({ status: 'completed', counts: { total: few, succeeded: few } });
  expect(done).toBeLessThan((jobs * itemsPerJob) / 10);
}

/** It has not even ended when the large tenant has done a tenth. */
export async function expectNoFairness({ small, largeDone, jobs, itemsPerJob }: Race): Promise<void> {
  await until('a tenth', async () => (await largeDone()) >= (jobs * itemsPerJob) / 10, 120_000);
  const { counts } = await readJob(small.client, small.id);
  expect(counts.succeeded).toBe(0);
}
