/** What the batch workflow is called, takes, answers and hears: for the API, the workers and the workflow itself. */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { defineQuery, defineSignal } from '@temporalio/workflow';
import { PROGRESS_QUERY, SEARCH_ATTRIBUTE_NAMES, WOKEN_SIGNAL } from '../../domain/batch/engine';
import type { Counts } from '../../domain/batch/job';
import type { JobStatus } from '../../domain/batch/status';

export interface BatchInput {
  tenantId: string;
  jobId: string;
  /** Events after which a run hands over to the next one, also where the server doesn't suggest it yet. */
  runEventsMax?: number | undefined;
  /** The job was just sealed: its first chunk is handed out at once, beside `batchBegin`. */
  first?: { itemMaxMs: number } | undefined;
}

export interface BatchEnd {
  status: JobStatus;
  succeeded: number;
  failed: number;
  cancelled: number;
}

/** Counts as the workflow knows them: finished chunks only. */
export const progressQuery = defineQuery<Counts>(PROGRESS_QUERY);

/** The desired state in the job's row has changed: look at it. Carries nothing, so losing or doubling it is harmless. */
export const wokenSignal = defineSignal(WOKEN_SIGNAL);

/** Tenant and handler are set by whoever starts the workflow; the status moves with it. */
export const STATUS_ATTRIBUTE = defineSearchAttributeKey(
  SEARCH_ATTRIBUTE_NAMES.status,
  SearchAttributeType.KEYWORD,
);
