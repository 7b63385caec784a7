/** The Temporal workers of one process: one for decisions, one for chunks, each with slots of its own. */
import { type NativeConnection, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { TASK_QUEUES } from '../domain/batch/engine';
import type {
  BatchChunkActivities,
  BatchControlActivities,
  BatchLoanActivities,
} from '../workflows/batch/ports';

export interface WorkersOptions {
  connection: NativeConnection;
  namespace: string;
  /** path of the file that `npm run build` bundled, or a bundle itself */
  workflows: { codePath: string } | WorkflowBundleWithSourceMap;
  control: BatchControlActivities;
  loans: BatchLoanActivities;
  chunks: BatchChunkActivities;
  /** chunks of all jobs at once in this process */
  chunkSlots: number;
  shutdownGraceMs: number;
}

export interface Workers {
  /** Resolves when both have stopped. @throws what broke one of them */
  run(): Promise<void>;
  stop(): void;
}

const CONTROL_SLOTS = 40;
/**
 * A process that froze still has its polls open, and each swallows a task until that task's timeout. Few polls lose few tasks,
 * and two keep up with hundreds of tasks a second.
 */
const POLLS = 2;

export async function createWorkers(options: WorkersOptions): Promise<Workers> {
  const { connection, namespace, workflows } = options;
  const common = {
    connection,
    namespace,
    shutdownGraceTime: options.shutdownGraceMs,
    // The SDK's own 60 s would hide a cancel from a chunk for as long.
    maxHeartbeatThrottleInterval: '2 seconds',
    defaultHeartbeatThrottleInterval: '2 seconds',
    // An eager start would jump the queue, and with it priority and fairness.
    maxEagerActivityReservationsPerWorkflowTask: 0,
  } as const;
  const control = await Worker.create({
    ...common,
    taskQueue: TASK_QUEUES.control,
    workflowBundle: workflows,
    activities: { ...options.control, ...options.loans },
    maxConcurrentActivityTaskExecutions: CONTROL_SLOTS,
    maxConcurrentActivityTaskPolls: POLLS,
    maxConcurrentWorkflowTaskPolls: 2 * POLLS,
  });
  const chunks = await Worker.create({
    ...common,
    taskQueue: TASK_QUEUES.batch,
    activities: { ...options.chunks },
    maxConcurrentActivityTaskExecutions: options.chunkSlots,
    maxConcurrentActivityTaskPolls: POLLS,
  });
  const all = [control, chunks];
  return {
    async run() {
      await Promise.all(all.map((worker) => worker.run()));
    },
    stop() {
      for (const worker of all) if (worker.getState() === 'RUNNING') worker.shutdown();
    },
  };
}
