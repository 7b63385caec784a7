/** What may be asked of a download, and what of it only once the job has ended. */
import { z } from 'zod';
import { type Job, RESULT_STATUSES } from '../../../domain/batch/job';
import { isFinal } from '../../../domain/batch/status';
import { AppError } from '../../../domain/errors';
import { intQuery } from '../../schema';

const INDEX_MAX = 2 ** 31 - 1;

export const resultsQuery = z
  .strictObject({
    format: z.enum(['ndjson', 'csv', 'parquet']).default('ndjson'),
    status: z.enum(RESULT_STATUSES).optional(),
    cursor: intQuery({ min: 0, max: INDEX_MAX })
      .optional()
      .describe(
        'Goes on with a download that broke off: the `index` of the last line that arrived whole. What follows is, byte for ' +
          'byte, what would have followed. For jobs that have ended; not for Parquet',
      ),
  })
  .refine(({ format, cursor }) => format !== 'parquet' || cursor === undefined, {
    path: ['cursor'],
    error: 'a Parquet file cannot be gone on with',
  });

export type ResultsQuery = z.output<typeof resultsQuery>;

/**
 * @returns the index that the download begins with
 * @throws AppError `job_not_ended`, `validation_failed`
 */
export function firstIndex(job: Job, { cursor }: ResultsQuery): number {
  if (cursor === undefined) return 0;
  if (!isFinal(job.status)) {
    throw new AppError('job_not_ended', 'Until the job has ended, lines may still come before the cursor.');
  }
  if (cursor >= job.counts.total) {
    const detail = `the job has no line of this index: it has ${job.counts.total} items`;
    throw new AppError('validation_failed', `cursor: ${detail}.`, {
      errors: [{ parameter: 'cursor', detail }],
    });
  }
  return cursor + 1;
}
