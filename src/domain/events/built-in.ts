/** The events that Millrace tells by itself: what each means, and a JSON Schema (draft 2020-12) of its data. */
import { JOB_STATUSES } from '../batch/status';
import { SCOPES } from '../key/scopes';
import { NOTIFICATION_CREATED } from '../notification/notification';
import type { JobEventType, QuotaEventType } from '../realtime/event';
import type { ApiKeyEventType, TenantEventType } from './lifecycle';

/** A schema as a plain object. */
type Schema = Readonly<Record<string, unknown>>;

export interface BuiltInType {
  name: string;
  description: string;
  schema: Schema;
  /** told on streams, and kept nowhere */
  realtimeOnly?: boolean;
}

const text: Schema = { type: 'string' };
const count: Schema = { type: 'integer', minimum: 0 };
const time: Schema = { type: 'string', format: 'date-time' };
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] });

/** More fields may come with time. */
function fields(required: Record<string, Schema>, optional: Record<string, Schema> = {}): Schema {
  return { type: 'object', properties: { ...required, ...optional }, required: Object.keys(required) };
}

const counts = fields({
  total: count,
  pending: count,
  running: count,
  succeeded: count,
  failed: count,
  cancelled: count,
});
const failure = fields({ code: text, message: text });
const job = fields(
  {
    job_id: text,
    name: orNull(text),
    handler: text,
    status: { enum: JOB_STATUSES },
    counts,
    error: orNull(failure),
    metadata: { type: 'object', additionalProperties: text },
  },
  { options: { type: 'object' } },
);
const progress = fields({
  job_id: text,
  counts,
  rate_per_second: orNull({ type: 'number' }),
  eta_seconds: orNull(count),
});

const quota = fields({
  tenant_id: text,
  quota: text,
  used: count,
  allowed: count,
  period_start: time,
  period_end: time,
});

const key = fields({
  key_id: text,
  name: text,
  prefix: text,
  status: { enum: ['active', 'expired', 'revoked'] },
  scopes: { type: 'array', items: { enum: SCOPES } },
  expires_at: orNull(time),
  allowed_cidrs: { type: 'array', items: text },
  requests_per_minute: orNull(count),
  requests_per_day: orNull(count),
  rotated_at: orNull(time),
  revoked_at: orNull(time),
});

const subscription = fields({ plan: text, valid_from: time, valid_until: orNull(time) });
const tenant = fields({ tenant_id: text, name: text, plan: text });
const tenantPlan = fields({
  tenant_id: text,
  name: text,
  plan: text,
  subscription: orNull(subscription),
  scheduled: { type: 'array', items: subscription },
});

const notification = fields({
  id: text,
  object: { const: 'notification' },
  tenant_id: text,
  rule_id: text,
  rule_name: text,
  event_id: text,
  event_type: text,
  subject: text,
  read_at: orNull(time),
  created_at: time,
});

const JOB_TYPES: Readonly<Record<JobEventType, string>> = {
  'job.created': 'A job was made',
  'job.queued': 'It has all its items, and waits to run',
  'job.started': 'It runs',
  'job.progress': 'How far it has come, at most four times a second',
  'job.paused': 'It was paused; what runs comes to its end',
  'job.resumed': 'It goes on after a pause',
  'job.updated': 'Its limits, name or metadata were changed',
  'job.cancelling': 'It was asked to end',
  'job.completed': 'It ended, and every item succeeded',
  'job.completed_with_errors': 'It ended, and some items failed',
  'job.failed': 'It ended before its time, with more failures than it tolerates',
  'job.cancelled': 'It ended since it was asked to',
  'job.expired': 'It ended since its time was up',
  'job.deleted': 'It is gone, with its items and results',
};

const QUOTA_TYPES: Readonly<Record<QuotaEventType, string>> = {
  'quota.warning': 'Four fifths of what the plan allows in a period are used',
  'quota.exceeded': 'All of what the plan allows in a period is used, or something was refused for it',
};

const KEY_TYPES: Readonly<Record<ApiKeyEventType, string>> = {
  'api_key.created': 'An API key was made',
  'api_key.updated': 'What an API key may do was changed, or its name',
  'api_key.rotated': 'An API key has another secret',
  'api_key.revoked': 'An API key was revoked',
};

const TENANT_TYPES: Readonly<Record<TenantEventType, string>> = {
  'tenant.created': 'The tenant was made',
  'tenant.updated': 'It was renamed',
  'tenant.deleted': 'It was deleted; its keys ended with it',
  'tenant.subscription_changed': 'Its plan is another one, or will be',
};

const NOTIFICATION_TYPES: Readonly<Record<typeof NOTIFICATION_CREATED, string>> = {
  [NOTIFICATION_CREATED]: 'An event fitted a notification rule',
};

const REALTIME_ONLY: ReadonlySet<string> = new Set<string>([
  'job.progress' satisfies JobEventType,
  NOTIFICATION_CREATED,
]);

/** By name. */
export function builtInTypes(): BuiltInType[] {
  const of = (types: Readonly<Record<string, string>>, schemaOf: (name: string) => Schema): BuiltInType[] =>
    Object.entries(types).map(([name, description]) => ({
      name,
      description,
      schema: schemaOf(name),
      ...(REALTIME_ONLY.has(name) && { realtimeOnly: true }),
    }));
  const types = [
    ...of(JOB_TYPES, (name) => (name === 'job.progress' ? progress : job)),
    ...of(QUOTA_TYPES, () => quota),
    ...of(KEY_TYPES, () => key),
    ...of(NOTIFICATION_TYPES, () => notification),
    ...of(TENANT_TYPES, (name) => (name === 'tenant.subscription_changed' ? tenantPlan : tenant)),
  ];
  return types.sort((a, b) => (a.name < b.name ? -1 : 1));
}
