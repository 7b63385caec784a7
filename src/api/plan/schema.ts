/** Plans on the wire. */
import { z } from 'zod';
import { PLAN_NAME, type Plan, type PlanLimits } from '../../domain/key/plans';
import { named, timestampSchema } from '../schema';
import type { PlanRecord } from './ports';

const INT32_MAX = 2_147_483_647;
/** What an integer of a structured field may have (RFC 9651 §3.3.1), as the RateLimit fields are. */
export const FIELD_INTEGER_MAX = 999_999_999_999_999;
/** A hundred years. */
const RETENTION_DAYS_MAX = 36_500;

interface LimitField {
  key: keyof PlanLimits;
  min: number;
  max: number;
  about: string;
}

const FIELDS = {
  requests_per_minute: {
    key: 'requestsPerMinute',
    min: 1,
    max: INT32_MAX,
    about: 'Over all keys of the tenant',
  },
  requests_per_day: {
    key: 'requestsPerDay',
    min: 1,
    max: FIELD_INTEGER_MAX,
    about: 'Over all keys of the tenant',
  },
  items_per_month: {
    key: 'itemsPerMonth',
    min: 0,
    max: FIELD_INTEGER_MAX,
    about: 'Of the jobs that are started in a calendar month (UTC)',
  },
  items_per_job: {
    key: 'itemsPerJob',
    min: 1,
    max: INT32_MAX,
    about: 'Looked at when they come, and at the start',
  },
  running_jobs: {
    key: 'runningJobs',
    min: 1,
    max: INT32_MAX,
    about: 'At once; further jobs wait as `queued`',
  },
  concurrency_per_job: {
    key: 'concurrencyPerJob',
    min: 1,
    max: INT32_MAX,
    about: 'Items of one job in flight',
  },
  endpoints: { key: 'endpoints', min: 0, max: INT32_MAX, about: 'Receivers of webhooks' },
  realtime_connections: {
    key: 'realtimeConnections',
    min: 0,
    max: INT32_MAX,
    about: 'Event streams and WebSockets open at once',
  },
  realtime_topics: {
    key: 'realtimeTopics',
    min: 0,
    max: INT32_MAX,
    about: 'Topics that one WebSocket follows at once',
  },
  retention_days: {
    key: 'retentionDays',
    min: 1,
    max: RETENTION_DAYS_MAX,
    about: 'How long a job is kept after its end; without a limit, until it is deleted',
  },
} as const satisfies Record<string, LimitField>;

type WireLimit = keyof typeof FIELDS;
type WireLimits = Record<WireLimit, number | null>;
const NAMES = Object.keys(FIELDS) as WireLimit[];

/** One schema per limit, made of its range. */
function limitFields<T extends z.ZodType>(of: (field: LimitField) => T): Record<WireLimit, T> {
  return Object.fromEntries(NAMES.map((name) => [name, of(FIELDS[name])])) as Record<WireLimit, T>;
}

const wished = limitFields(({ min, max, about }) => z.int().min(min).max(max).nullish().describe(about));
const shown = limitFields(({ about }) => z.int().nullable().describe(about));

export const planNameSchema = z
  .string()
  .regex(PLAN_NAME, { error: 'expected a lower-case letter, then up to 62 of a-z, 0-9, _ and -' });

export const planCreateSchema = named(
  'PlanCreate',
  z.strictObject({ name: planNameSchema, ...wished }).describe('A limit that is left out, or null, is none'),
);

export const planUpdateSchema = named(
  'PlanUpdate',
  z.strictObject(wished).describe('A limit that is left out stays as it is; null takes it away'),
);

/** Without the plan around them. */
export const planLimitsSchema = named('PlanLimits', z.object(shown));

export const planSchema = named(
  'Plan',
  z
    .object({
      name: z.string(),
      object: z.literal('plan'),
      ...shown,
      created_at: timestampSchema,
      updated_at: timestampSchema,
    })
    .describe('Null: no limit'),
);

export function toLimitsBody(limits: PlanLimits): WireLimits {
  return Object.fromEntries(NAMES.map((name) => [name, limits[FIELDS[name].key]])) as WireLimits;
}

export function toPlanBody(plan: PlanRecord) {
  return {
    name: plan.name,
    object: 'plan' as const,
    ...toLimitsBody(plan.limits),
    created_at: plan.created_at,
    updated_at: plan.updated_at,
  };
}

export function toNewPlan({ name, ...given }: z.output<typeof planCreateSchema>): Plan {
  const limits = Object.fromEntries(NAMES.map((field) => [FIELDS[field].key, given[field] ?? null]));
  return { name, limits: limits as unknown as PlanLimits };
}

/** Those that are named. */
export function toLimitsChange(given: z.output<typeof planUpdateSchema>): Partial<PlanLimits> {
  const named = NAMES.filter((field) => given[field] !== undefined);
  return Object.fromEntries(named.map((field) => [FIELDS[field].key, given[field]]));
}
