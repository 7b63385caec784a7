/** Usage on the wire. Days and months are those of UTC. */
import { z } from 'zod';
import { idText, named, timestampSchema } from '../schema';

const DAYS_MAX = 366;
export const USAGE_DAYS_MAX = DAYS_MAX;

/** Neither calendar nor clocks go wrong from here on. */
const FIRST_DAY = '1970-01-01';
const dateSchema = z.iso
  .date({ error: 'expected a date such as 2026-03-01' })
  .refine((day) => day >= FIRST_DAY, { error: `expected a date from ${FIRST_DAY} on` });

export const rangeQuery = {
  from: dateSchema
    .optional()
    .describe('First day (UTC); not given: the first of the month that `to` lies in')
    .meta({ example: '2026-03-01' }),
  to: dateSchema
    .optional()
    .describe(`Last day (UTC), at most ${DAYS_MAX} days in all; not given: today`)
    .meta({ example: '2026-03-31' }),
};

const totals = {
  requests: z.int().describe('Requests that were served, whatever the answer was'),
  items: z.int().describe('Items that came to a result'),
  refused: z
    .record(z.string(), z.int())
    .describe('Requests that a limit or quota refused, by its policy')
    .meta({ example: { minute: 3 } }),
};

const day = z.string().meta({ format: 'date', example: '2026-03-01' });

const limitUse = named(
  'LimitUse',
  z.object({
    used: z.int().nullable().describe('null where there is no limit, and so nothing is counted against it'),
    allowed: z.int().nullable().describe('null: no limit'),
    remaining: z.int().nullable().describe('null: no limit'),
    resets_at: timestampSchema
      .nullable()
      .describe(
        'When the period is over and all is there again; null where none has begun, or there is no limit',
      ),
  }),
);

const periods = {
  day: z.object({ date: day, ...totals }).describe('Today'),
  month: z.object({ from: day, to: day, ...totals }).describe('This month, up to today'),
  from: day,
  to: day,
  days: z
    .array(z.object({ date: day, ...totals }))
    .describe('Each day from `from` to `to`, also those without use'),
};

export const usageSchema = named(
  'Usage',
  z.object({
    object: z.literal('usage'),
    tenant_id: idText('tenant'),
    plan: z.string().describe('In force right now'),
    limits: z
      .object({
        requests_per_minute: limitUse,
        requests_per_day: limitUse,
        items_per_month: limitUse.describe(
          'Items that jobs have reserved when they were started, less what ended jobs did not attempt',
        ),
        running_jobs: limitUse,
      })
      .describe('What the plan allows, and how far it is used'),
    ...periods,
  }),
);

export const keyUsageSchema = named(
  'ApiKeyUsage',
  z.object({
    object: z.literal('api_key_usage'),
    key_id: idText('key'),
    tenant_id: idText('tenant'),
    ...periods,
  }),
);
