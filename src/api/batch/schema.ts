/** Jobs on the wire. */
import { z } from 'zod';
import { customIdFault } from '../../domain/batch/custom-id';
import { RESULT_STATUSES } from '../../domain/batch/job';
import { GROUPS_MAX, KEY_CHARACTERS_MAX, SUMMARY_BYTES_MAX } from '../../domain/batch/reduce';
import { JOB_STATUSES } from '../../domain/batch/status';
import { unstorableReason } from '../../domain/batch/storable';
import { idText, intQuery, named, pageQuery, timestampSchema } from '../schema';
import { liveOptionsSchema, optionsChangeSchema, optionsInputSchema } from './options-schema';
import { reduceSchema } from './reduce-schema';

const METADATA_MAX = 50;

const storable = (text: string): boolean => unstorableReason(JSON.stringify(text)) === undefined;
const handlerNameSchema = z
  .string()
  .min(1)
  .max(100)
  .refine(storable, { error: 'holds what cannot be stored' });

const metadataSchema = z
  .record(z.string().min(1).max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= METADATA_MAX, {
    error: `expected at most ${METADATA_MAX} entries`,
  })
  .describe('Yours: up to 50 texts of up to 512 characters, by names of up to 64');

const nameSchema = z.string().min(1).max(255).nullish();

const paramsSchema = z
  .unknown()
  .refine((params) => typeof params === 'object' && params !== null && !Array.isArray(params), {
    error: 'expected an object',
  })
  .meta({ type: 'object', description: 'What the handler takes, see its description' });

export const jobCreateSchema = named(
  'JobCreate',
  z.strictObject({
    handler: handlerNameSchema.meta({ example: 'transform' }),
    params: paramsSchema.optional(),
    items: z
      .array(z.unknown())
      .min(1)
      .optional()
      .describe(
        'Up to 1 MB in all; with it the job starts at once. An object with `input` and maybe `custom_id` alone names its ' +
          'input; any other value is the input.',
      ),
    reduce: reduceSchema.nullish(),
    options: optionsInputSchema.optional(),
    name: nameSchema,
    metadata: metadataSchema.optional(),
  }),
);

export const jobPatchSchema = named(
  'JobPatch',
  z.strictObject({
    name: nameSchema.describe('Null takes it away'),
    metadata: metadataSchema.optional().describe('In place of all that was there'),
    options: liveOptionsSchema.optional(),
  }),
);

export const jobRetrySchema = named(
  'JobRetry',
  z.strictObject({
    name: nameSchema.describe("Left out: the ended job's; null takes it away"),
    metadata: metadataSchema.optional().describe("Left out: the ended job's"),
    options: optionsChangeSchema.optional(),
  }),
).optional();

export const jobStatusSchema = named('JobStatus', z.enum(JOB_STATUSES));
const count = z.int().min(0);

export const countsSchema = named(
  'Counts',
  z.object({
    total: count,
    pending: count,
    running: count.describe('In flight when last reported'),
    succeeded: count,
    failed: count,
    cancelled: count,
  }),
);

const errorSchema = z.object({ code: z.string(), message: z.string() });

const optionsSchema = named(
  'JobOptions',
  z.object({
    max_concurrency: z.int().nullable(),
    max_rps: z.number().nullable(),
    item_timeout_ms: z.int(),
    retry: z.object({
      max_attempts: z.int(),
      initial_interval_ms: z.int(),
      backoff_coefficient: z.number(),
      max_interval_ms: z.int(),
    }),
    tolerated_failure: z.object({ count: z.int().optional(), percentage: z.number().optional() }).nullable(),
    priority: z.int(),
    expires_in_seconds: z.int().nullable(),
  }),
);

const foretold = {
  rate_per_second: z
    .number()
    .nullable()
    .describe('Mean since the start, without pauses; null until something is done'),
  eta_seconds: z.int().nullable().describe('What is left at that rate; null while the job is paused'),
};

export const jobSchema = named(
  'Job',
  z.object({
    id: idText('job'),
    object: z.literal('job'),
    tenant_id: idText('tenant'),
    name: z.string().nullable(),
    handler: z.string(),
    params: z.unknown(),
    reduce: reduceSchema.nullable(),
    options: optionsSchema,
    metadata: z.record(z.string(), z.string()),
    status: jobStatusSchema,
    counts: countsSchema.describe('Always adds up to the total'),
    ...foretold,
    created_at: timestampSchema,
    queued_at: timestampSchema.nullable(),
    started_at: timestampSchema.nullable(),
    ended_at: timestampSchema.nullable(),
    expires_at: timestampSchema.nullable(),
    parent_job_id: idText('job').nullable(),
    error: errorSchema.nullable(),
    links: z.object({
      self: z.string(),
      events: z.string(),
      items: z.string(),
      results: z.string(),
      summary: z.string(),
      temporal: z.string().optional().describe('The workflow in Temporal; only for the scope `admin`'),
    }),
  }),
);

export const progressSchema = named(
  'Progress',
  z.object({
    job_id: idText('job'),
    status: jobStatusSchema,
    counts: countsSchema,
    ...foretold,
    source: z.enum(['workflow', 'rows']).describe('Who knew more: the running workflow or the database'),
  }),
);

const ITEM_STATUSES = ['pending', ...RESULT_STATUSES] as const;

export const itemSchema = named(
  'Item',
  z.object({
    index: z.int().min(0),
    custom_id: z.string(),
    status: z.enum(ITEM_STATUSES),
    attempts: z.int().min(0).describe('Those of its result; 0 until there is one'),
    error: errorSchema.nullable(),
    input: z.unknown(),
  }),
);

export const resultLineSchema = named(
  'ResultLine',
  z.object({
    index: z.int().min(0),
    custom_id: z.string(),
    status: z.enum(RESULT_STATUSES),
    output: z.unknown(),
    error: errorSchema.nullable(),
    attempts: z.int().min(0),
    duration_ms: z.int().min(0),
  }),
);

/** Also of `top`. */
const LONG_VALUES =
  `One longer than ${KEY_CHARACTERS_MAX.toLocaleString('en')} characters of JSON is shown as a text of its beginning, kind ` +
  'and hash';

export const summarySchema = named(
  'Summary',
  z.object({
    job_id: idText('job'),
    partial: z.boolean().describe('The job has not ended'),
    groups: z
      .array(
        z.object({
          key: z.unknown().describe(`The value at \`group_by\`, null where there is none. ${LONG_VALUES}`),
          metrics: z
            .record(z.string(), z.unknown())
            .describe(
              'By name. A `sum` beyond 131,072 digits, and what has no values to be computed from, is null',
            ),
        }),
      )
      .describe(`By key; the ${GROUPS_MAX.toLocaleString('en')} largest`),
    skipped: z.record(z.string(), z.int()).describe('By metric: values missing or not numeric'),
    groups_omitted: z.int().describe('Groups beyond the limit, the smallest ones'),
    error: z
      .string()
      .optional()
      .describe(
        'Why there are no groups: the results hold what cannot be aggregated, the summary would be larger than ' +
          `${SUMMARY_BYTES_MAX / 1_048_576} MB, or the database had not enough time, memory or disk. The job ends all the same`,
      ),
  }),
);

export const jobListQuery = z.strictObject({
  ...pageQuery,
  limit: intQuery({ min: 1, max: 100 }).optional().describe('Entries per page, default 50'),
  status: jobStatusSchema.optional(),
  handler: handlerNameSchema.optional(),
});

export const itemListQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(ITEM_STATUSES).optional(),
  custom_id: z
    .string()
    .refine((id) => customIdFault(id) === undefined, { error: 'no custom_id' })
    .optional()
    .describe('The item of this name; one that was given none goes by its index'),
});
