/** How a job is run, on the wire: every field may be left out. */
import { z } from 'zod';
import { DEFAULT_OPTIONS, type JobOptions, type RetryPolicy } from '../../domain/batch/job';
import { DEFAULT_CONCURRENCY } from '../../domain/batch/partition';
import { AppError } from '../../domain/errors';
import { named } from '../schema';

const HOUR_MS = 3_600_000;
const EXPIRES_SECONDS_MAX = 30 * 24 * 3_600;
const INTERVALS_CROSS = 'must not be smaller than initial_interval_ms';

const retryPolicySchema = z.strictObject({
  max_attempts: z.int().min(1).max(100).optional().describe('Default 1: no retry'),
  initial_interval_ms: z.int().min(1).max(HOUR_MS).optional().describe('Default 1,000'),
  backoff_coefficient: z.number().min(1).max(10).optional().describe('Default 2'),
  max_interval_ms: z.int().min(1).max(HOUR_MS).optional().describe('Default 60,000'),
});

const toleranceSchema = z
  .strictObject({
    count: z.int().min(0).optional(),
    percentage: z.number().min(0).max(100).optional().describe("Of the job's items"),
  })
  .refine(({ count, percentage }) => count !== undefined || percentage !== undefined, {
    error: 'expected count, percentage or both',
  })
  .describe(
    'Failed items that the job bears; with one more it stops and ends `failed`, its results kept. Of `count` and ' +
      '`percentage` the one that is met first counts. Null, the default: all may fail',
  )
  .meta({ minProperties: 1 });

/** May change while the job runs. */
const live = {
  max_concurrency: z
    .int()
    .min(1)
    .max(100_000)
    .nullish()
    .describe(
      `Items in flight over all workers; default ${DEFAULT_CONCURRENCY}, and never more than the tenant's plan allows`,
    ),
  max_rps: z
    .number()
    .min(0.01)
    .max(100_000)
    .nullish()
    .describe(
      'Items begun per second over all workers, further attempts included. Null, the default: no limit',
    ),
  tolerated_failure: toleranceSchema.nullish(),
};

const options = {
  ...live,
  item_timeout_ms: z.int().min(1).max(HOUR_MS).optional().describe('Per item and attempt; default 10,000'),
  retry: retryPolicySchema.optional(),
  priority: z.int().min(1).max(5).optional().describe('1 first; default 3'),
  expires_in_seconds: z
    .int()
    .min(1)
    .max(EXPIRES_SECONDS_MAX)
    .nullish()
    .describe(
      'From the start, up to 30 days: a job that has not ended by then stops and ends `expired`, its results kept. Null, the ' +
        'default: it has all the time it needs',
    ),
};

const optionsWishSchema = z.strictObject(options);
type OptionsWish = z.output<typeof optionsWishSchema>;

/** Of a job's creation: what is left out has its default. */
export const optionsInputSchema = named(
  'JobOptionsInput',
  optionsWishSchema
    .transform((given) => withWish(DEFAULT_OPTIONS, given))
    .refine((made) => !doIntervalsCross(made.retry), {
      path: ['retry', 'max_interval_ms'],
      error: INTERVALS_CROSS,
    }),
);

/** Of a retry: what is left out is as it was. */
export const optionsChangeSchema = named(
  'JobOptionsChange',
  optionsWishSchema.describe(
    'What differs from the ended job, also within `retry`; null sets an option back to its default',
  ),
);

/** Of a job's change. */
export const liveOptionsSchema = named(
  'JobLimits',
  z.strictObject(live).describe('What is left out stays as it is; null sets an option back to its default'),
);

/** @throws AppError `validation_failed`: what was given does not fit what is there already */
export function optionsOver(base: JobOptions, given: OptionsWish): JobOptions {
  const made = withWish(base, given);
  if (!doIntervalsCross(made.retry)) return made;
  const errors = [{ pointer: '/options/retry/max_interval_ms', detail: INTERVALS_CROSS }];
  throw new AppError('validation_failed', `/options/retry/max_interval_ms: ${INTERVALS_CROSS}`, { errors });
}

function withWish(base: JobOptions, given: OptionsWish): JobOptions {
  return {
    max_concurrency: orBase(given.max_concurrency, base.max_concurrency),
    max_rps: orBase(given.max_rps, base.max_rps),
    item_timeout_ms: orBase(given.item_timeout_ms, base.item_timeout_ms),
    retry: withPolicy(base.retry, given.retry ?? {}),
    tolerated_failure: orBase(given.tolerated_failure, base.tolerated_failure),
    priority: orBase(given.priority, base.priority),
    expires_in_seconds: orBase(given.expires_in_seconds, base.expires_in_seconds),
  };
}

/** A longer first wait lengthens the longest one, unless that was named too. */
function withPolicy(base: RetryPolicy, given: z.output<typeof retryPolicySchema>): RetryPolicy {
  const initial = orBase(given.initial_interval_ms, base.initial_interval_ms);
  return {
    max_attempts: orBase(given.max_attempts, base.max_attempts),
    initial_interval_ms: initial,
    backoff_coefficient: orBase(given.backoff_coefficient, base.backoff_coefficient),
    max_interval_ms: given.max_interval_ms ?? Math.max(base.max_interval_ms, initial),
  };
}

/** null is a wish: to have no limit, which is the default of whatever may be null. */
function orBase<T>(given: T | undefined, base: T): T {
  return given === undefined ? base : given;
}

function doIntervalsCross({ initial_interval_ms, max_interval_ms }: RetryPolicy): boolean {
  return max_interval_ms < initial_interval_ms;
}
