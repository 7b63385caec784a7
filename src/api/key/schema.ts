/** API keys and the asker on the wire. */
import { z } from 'zod';
import { formatCidr, parseCidr } from '../../domain/net/cidr';
import { KEY_STATUSES } from '../../domain/key/key-status';
import { SCOPES } from '../../domain/key/scopes';
import { FIELD_INTEGER_MAX, planLimitsSchema } from '../plan/schema';
import { idText, named, pageQuery, timeInput, timestampSchema } from '../schema';

const CIDRS_MAX = 100;
const INT32_MAX = 2_147_483_647;
const WEEK_SECONDS = 604_800;

export const scopeSchema = named('Scope', z.enum(SCOPES));

const cidrSchema = z
  .string()
  .max(64)
  .transform((text, ctx) => {
    const cidr = parseCidr(text);
    if (cidr !== undefined) return formatCidr(cidr);
    ctx.addIssue({ code: 'custom', message: 'is no range of addresses in CIDR notation, as 192.0.2.0/24' });
    return z.NEVER;
  })
  .meta({ type: 'string', example: '192.0.2.0/24' });

const content = {
  name: z.string().min(1).max(200),
  scopes: z
    .array(scopeSchema)
    .min(1)
    .max(SCOPES.length)
    .refine((scopes) => new Set(scopes).size === scopes.length, { error: 'a scope is given twice' }),
};

const bounds = {
  expires_at: timeInput.nullish().describe('Null: the key does not expire'),
  allowed_cidrs: z
    .array(cidrSchema)
    .max(CIDRS_MAX)
    .optional()
    .describe('Where it may be used from; none: anywhere. Answered in canonical form'),
  requests_per_minute: z
    .int()
    .min(1)
    .max(INT32_MAX)
    .nullish()
    .describe('Of this key alone, beside what the plan allows all keys of the tenant; null: none'),
  requests_per_day: z
    .int({ abort: true })
    .min(1)
    .max(FIELD_INTEGER_MAX)
    .nullish()
    .describe('As `requests_per_minute`'),
};

export const keyCreateSchema = named(
  'ApiKeyCreate',
  z
    .strictObject({
      ...content,
      ...bounds,
      tenant_id: z
        .string()
        .max(64)
        .optional()
        .describe('Another tenant than your own: only with the scope `admin`'),
    })
    .describe(
      'What is left out of `expires_at` and `allowed_cidrs` is as with the key that asks; with `admin`, none. Limits that are left out: none.',
    ),
);

export const keyUpdateSchema = named(
  'ApiKeyUpdate',
  z
    .strictObject({ name: content.name.optional(), scopes: content.scopes.optional(), ...bounds })
    .describe('What is left out stays as it is.'),
);

export const keyRotateSchema = named(
  'ApiKeyRotate',
  z
    .strictObject({
      overlap_seconds: z
        .int()
        .min(0)
        .max(WEEK_SECONDS)
        .default(0)
        .describe('How long the secret so far goes on working beside the new one'),
    })
    .prefault({}),
);

export const keyListQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(KEY_STATUSES).optional().describe('Only keys of this status'),
  tenant_id: z
    .string()
    .max(64)
    .optional()
    .describe('Another tenant than your own: only with the scope `admin`'),
});

const boundFields = {
  expires_at: timestampSchema.nullable(),
  allowed_cidrs: z.array(z.string()).describe('Where it may be used from; none: anywhere'),
  requests_per_minute: z.int().nullable().describe('Of this key alone; null: none'),
  requests_per_day: z.int({ abort: true }).nullable().describe('Of this key alone; null: none'),
};

const keyFields = {
  id: idText('key'),
  object: z.literal('api_key'),
  tenant_id: idText('tenant'),
  name: z.string(),
  prefix: z.string().describe('The first characters of its secret, to recognise the key by'),
  status: z.enum(KEY_STATUSES),
  scopes: z.array(scopeSchema),
  ...boundFields,
  revoked_at: timestampSchema.nullable(),
  rotated_at: timestampSchema.nullable().describe('When it last got another secret'),
  last_used_at: timestampSchema.nullable().describe('To the minute, up to some minutes late'),
  created_at: timestampSchema,
};

export const keySchema = named('ApiKey', z.object(keyFields));

export const createdKeySchema = named(
  'CreatedApiKey',
  z.object({ ...keyFields, secret: z.string().describe('The key itself; shown this once') }),
);

export const meSchema = named(
  'Me',
  z.object({
    key: z.object({
      id: idText('key'),
      name: z.string(),
      prefix: z.string(),
      ...boundFields,
    }),
    tenant: z.object({ id: idText('tenant'), name: z.string() }),
    plan: z.string(),
    limits: planLimitsSchema.describe('Of the plan, for all keys of the tenant together; null: no limit'),
    scopes: z.array(scopeSchema),
  }),
);
