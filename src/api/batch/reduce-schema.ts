/** The `reduce` of a job on the wire: which metric needs what. */
import { z } from 'zod';
import { unstorableReason } from '../../domain/batch/storable';
import { named } from '../schema';

const METRICS_MAX = 50;
const BUCKETS_MAX = 100;
const TOP_DEFAULT = 10;

const pathSchema = z
  .string()
  .max(512)
  .regex(/^output(\.[^.]+)*$/, {
    error: 'expected a dotted path that starts with output, such as output.state',
  })
  .refine((path) => unstorableReason(JSON.stringify(path)) === undefined, {
    error: 'holds what cannot be stored',
  })
  .meta({ example: 'output.state' });

const bucketsSchema = z
  .array(z.number())
  .min(1)
  .max(BUCKETS_MAX)
  .refine((bounds) => bounds.every((bound, i) => i === 0 || bound > (bounds[i - 1] as number)), {
    error: 'bounds must ascend',
  })
  .describe('Upper bounds, ascending');

const ofPath = <Op extends string>(op: Op) => z.strictObject({ op: z.literal(op), path: pathSchema });

export const metricSchema = named(
  'Metric',
  z.discriminatedUnion('op', [
    z.strictObject({ op: z.literal('count') }),
    ofPath('count_distinct'),
    ofPath('sum'),
    ofPath('avg'),
    ofPath('min'),
    ofPath('max'),
    z.strictObject({
      op: z.literal('percentile'),
      path: pathSchema,
      q: z.number().min(0).max(1).describe('0.95 is the 95th percentile'),
    }),
    z.strictObject({ op: z.literal('histogram'), path: pathSchema, buckets: bucketsSchema }),
    z.strictObject({
      op: z.literal('top'),
      path: pathSchema,
      k: z
        .int()
        .min(1)
        .max(100)
        .default(TOP_DEFAULT)
        .describe(
          'How many values; one longer than 1,000 characters of JSON is shown by its beginning and a hash',
        ),
    }),
  ]),
);

const metricNameSchema = z
  .string()
  .regex(/^[A-Za-z][\w.-]{0,63}$/, { error: 'up to 64 of A-Z a-z 0-9 _ . -, a letter first' });

export const reduceSchema = named(
  'Reduce',
  z.strictObject({
    group_by: pathSchema.optional(),
    metrics: z
      .record(metricNameSchema, metricSchema)
      .refine((metrics) => isBetween(Object.keys(metrics).length, 1, METRICS_MAX), {
        error: `expected 1 to ${METRICS_MAX} metrics`,
      }),
  }),
);

function isBetween(count: number, min: number, max: number): boolean {
  return count >= min && count <= max;
}
