/** API keys and the asker on the wire. */
import { z } from 'zod';
import { SCOPES } from '../../domain/key/scopes';
import { idText, named, timestampSchema } from '../schema';

export const scopeSchema = named('Scope', z.enum(SCOPES));

export const keyCreateSchema = named(
  'ApiKeyCreate',
  z.strictObject({
    name: z.string().min(1).max(200),
    scopes: z
      .array(scopeSchema)
      .min(1)
      .max(SCOPES.length)
      .refine((scopes) => new Set(scopes).size === scopes.length, { error: 'a scope is given twice' }),
    expires_at: z.iso
      .datetime({ offset: true })
      .nullish()
      .describe('Not given or null: the key does not expire'),
    tenant_id: z
      .string()
      .max(64)
      .optional()
      .describe('Another tenant than your own: only with the scope `admin`'),
  }),
);

const keyFields = {
  id: idText('key'),
  object: z.literal('api_key'),
  tenant_id: idText('tenant'),
  name: z.string(),
  prefix: z.string().describe('The first characters, to recognise the key by'),
  scopes: z.array(scopeSchema),
  expires_at: timestampSchema.nullable(),
  revoked_at: timestampSchema.nullable(),
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
      expires_at: timestampSchema.nullable(),
    }),
    tenant: z.object({ id: idText('tenant'), name: z.string() }),
    plan: z.string(),
    scopes: z.array(scopeSchema),
  }),
);
