/** Starts, wakes, asks and looks after batch workflows. Fulfils `JobEngine` of src/api/batch/ports.ts. */
import {
  type Client,
  type Connection,
  WorkflowNotFoundError,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import {
  BATCH_WORKFLOW,
  PROGRESS_QUERY,
  SEARCH_ATTRIBUTE_NAMES,
  TASK_QUEUES,
  WOKEN_SIGNAL,
} from '../../domain/batch/engine';
import type { Counts } from '../../domain/batch/job';
import { AppError } from '../../domain/errors';
import { workflowIdFor } from '../../domain/ids';
import type { TemporalClient } from './connection';
import { registerSearchAttributes } from './namespace';

export interface EngineRef {
  tenantId: string;
  jobId: string;
}

export interface EngineStart extends EngineRef {
  handler: string;
  /** 1 (first) to 5 */
  priority: number;
  /** the job was just sealed: its first chunk is handed out at once */
  first?: { itemMaxMs: number } | undefined;
}

export interface JobEngine {
  start(job: EngineStart): Promise<void>;
  wake(ref: EngineRef): Promise<void>;
  progress(ref: EngineRef): Promise<Counts | undefined>;
  /** Whether a workflow drives the job right now. @throws AppError `dependency_unavailable` */
  isDriven(ref: EngineRef): Promise<boolean>;
}

export interface JobEngineOptions {
  client: Client;
  connection: Connection;
  within: TemporalClient['within'];
  namespace: string;
  /** for starts, signals and looks */
  callTimeoutMs: number;
  /** for queries, which someone waits for */
  queryTimeoutMs: number;
}

const TENANT = defineSearchAttributeKey(SEARCH_ATTRIBUTE_NAMES.tenant, SearchAttributeType.KEYWORD);
const HANDLER = defineSearchAttributeKey(SEARCH_ATTRIBUTE_NAMES.handler, SearchAttributeType.KEYWORD);
const STATUS = defineSearchAttributeKey(SEARCH_ATTRIBUTE_NAMES.status, SearchAttributeType.KEYWORD);

export function createJobEngine(options: JobEngineOptions): JobEngine {
  const { client, within, callTimeoutMs, queryTimeoutMs } = options;
  const handleOf = ({ tenantId, jobId }: EngineRef) =>
    client.workflow.getHandle(workflowIdFor.batch(tenantId, jobId));

  return {
    start: (job) => within(callTimeoutMs, () => startRegistering(options, job)).catch(rethrowAway),
    async wake(ref) {
      try {
        await within(callTimeoutMs, () => handleOf(ref).signal(WOKEN_SIGNAL));
      } catch (error) {
        // Nobody to wake: a workflow that starts later reads the row anyway.
        if (!(error instanceof WorkflowNotFoundError)) rethrowAway(error);
      }
    },
    async progress(ref) {
      try {
        return await within(queryTimeoutMs, () => handleOf(ref).query<Counts>(PROGRESS_QUERY));
      } catch {
        return undefined;
      }
    },
    async isDriven(ref) {
      try {
        const { status } = await within(callTimeoutMs, () => handleOf(ref).describe());
        return status.name === 'RUNNING';
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return false;
        return rethrowAway(error);
      }
    },
  };
}

/** A server that lost its data has lost the attributes too: register them and try once more. */
async function startRegistering(options: JobEngineOptions, job: EngineStart): Promise<void> {
  try {
    await start(options.client, job);
  } catch (error) {
    if (!/search attribute|no mapping defined/i.test(textOf(error))) throw error;
    await registerSearchAttributes(options.connection, options.namespace);
    await start(options.client, job);
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}`;
}

async function start(
  client: Client,
  { tenantId, jobId, handler, priority, first }: EngineStart,
): Promise<void> {
  try {
    await client.workflow.start(BATCH_WORKFLOW, {
      workflowId: workflowIdFor.batch(tenantId, jobId),
      taskQueue: TASK_QUEUES.control,
      args: [{ tenantId, jobId, ...(first !== undefined && { first }) }],
      typedSearchAttributes: new TypedSearchAttributes([
        { key: TENANT, value: tenantId },
        { key: HANDLER, value: handler },
        { key: STATUS, value: 'queued' },
      ]),
      staticSummary: `Batch ${jobId} through ${handler}`,
      // A job's chunks wait behind its own tenant's, not behind everybody's.
      priority: { priorityKey: priority, fairnessKey: tenantId },
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

function rethrowAway(error: unknown): never {
  throw new AppError('dependency_unavailable', 'The workflow engine is away.', {
    cause: error,
    retryAfterSeconds: 1,
  });
}
