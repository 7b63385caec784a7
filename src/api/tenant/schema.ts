/** Tenants on the wire. */
import { z } from 'zod';
import { DEFAULT_PLAN, PLAN_NAME } from '../../domain/key/plans';
import { idText, named, timestampSchema } from '../schema';

export const tenantCreateSchema = named(
  'TenantCreate',
  z.strictObject({
    name: z.string().min(1).max(200),
    plan: z.string().regex(PLAN_NAME).default(DEFAULT_PLAN),
  }),
);

export const tenantSchema = named(
  'Tenant',
  z.object({
    id: idText('tenant'),
    object: z.literal('tenant'),
    name: z.string(),
    plan: z.string().describe('In force right now'),
    created_at: timestampSchema,
  }),
);
