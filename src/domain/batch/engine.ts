/** The names by which Temporal knows a batch; histories and operators' searches carry them, so they are frozen. */
export const BATCH_WORKFLOW = 'batchJob';
export const PROGRESS_QUERY = 'progress';
export const WOKEN_SIGNAL = 'woken';

/** Keyword search attributes, registered by `migrate`. */
export const SEARCH_ATTRIBUTE_NAMES = {
  tenant: 'MillraceTenant',
  handler: 'MillraceHandler',
  status: 'MillraceStatus',
} as const;

/** Task queues, each with slots of its own, so that long chunks never keep a decision waiting. */
export const TASK_QUEUES = {
  /** workflows and their short activities */
  control: 'control',
  /** chunks of batches */
  batch: 'batch',
} as const;
