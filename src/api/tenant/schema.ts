/** Tenants on the wire. */
import { z } from 'zod';
import { PLAN_NAMES } from '../../domain/key/scopes';
import { idText, named, timestampSchema } from '../schema';

export const tenantCreateSchema = named(
  'TenantCreate',
  z.strictObject({
    name: z.string().min(1).max(200),
    plan: z.enum(PLAN_NAMES).default('free'),
  }),
);

export const tenantSchema = named(
  'Tenant',
  z.object({
    id: idText('tenant'),
    object: z.literal('tenant'),
    name: z.string(),
    plan: z.enum(PLAN_NAMES),
    created_at: timestampSchema,
  }),
);
