/** How a job is run, on the wire: every field may be left out. */
import { z } from 'zod';
import { DEFAULT_OPTIONS, type JobOptions, type RetryPolicy } from '../../domain/batch/job';
import { named } from '../schema';

const HOUR_MS = 3_600_000;

const retryInputSchema = z
  .strictObject({
    max_attempts: z.int().min(1).max(100).optional().describe('Default 1: no retry'),
    initial_interval_ms: z.int().min(1).max(HOUR_MS).optional().describe('Default 1,000'),
    backoff_coefficient: z.number().min(1).max(10).optional().describe('Default 2'),
    max_interval_ms: z.int().min(1).max(HOUR_MS).optional().describe('Default 60,000'),
  })
  .transform(withRetryDefaults)
  .refine((retry) => retry.max_interval_ms >= retry.initial_interval_ms, {
    path: ['max_interval_ms'],
    error: 'must not be smaller than initial_interval_ms',
  });

/** Refused rather than taken without a word: a job that seems to have a limit and has none does harm. */
const notYet = (meaning: string) =>
  z
    .null({ error: 'not available yet; leave it out or send null' })
    .optional()
    .describe(`Not available yet, only null is taken. ${meaning}`);

export const optionsInputSchema = named(
  'JobOptionsInput',
  z
    .strictObject({
      max_concurrency: z.int().min(1).max(100_000).nullish().describe('Items in flight over all workers'),
      max_rps: notYet('Items begun per second over all workers'),
      item_timeout_ms: z
        .int()
        .min(1)
        .max(HOUR_MS)
        .optional()
        .describe('Per item and attempt; default 10,000'),
      retry: retryInputSchema.optional(),
      tolerated_failure: notYet('Failed items past which the job stops and ends `failed`'),
      priority: z.int().min(1).max(5).optional().describe('1 first; default 3'),
      expires_in_seconds: notYet('From the start; a job that has not ended by then ends `expired`'),
    })
    .transform(withDefaults),
);

function withRetryDefaults(given: { [K in keyof RetryPolicy]?: RetryPolicy[K] | undefined }): RetryPolicy {
  const { retry } = DEFAULT_OPTIONS;
  const initial = given.initial_interval_ms ?? retry.initial_interval_ms;
  return {
    max_attempts: given.max_attempts ?? retry.max_attempts,
    initial_interval_ms: initial,
    backoff_coefficient: given.backoff_coefficient ?? retry.backoff_coefficient,
    max_interval_ms: given.max_interval_ms ?? Math.max(retry.max_interval_ms, initial),
  };
}

function withDefaults(given: { [K in keyof JobOptions]?: JobOptions[K] | undefined }): JobOptions {
  const options = DEFAULT_OPTIONS;
  return {
    max_concurrency: given.max_concurrency ?? options.max_concurrency,
    max_rps: given.max_rps ?? options.max_rps,
    item_timeout_ms: given.item_timeout_ms ?? options.item_timeout_ms,
    retry: given.retry ?? options.retry,
    tolerated_failure: given.tolerated_failure ?? options.tolerated_failure,
    priority: given.priority ?? options.priority,
    expires_in_seconds: given.expires_in_seconds ?? options.expires_in_seconds,
  };
}
