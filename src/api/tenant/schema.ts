/** Tenants and their subscriptions on the wire. */
import { z } from 'zod';
import { DEFAULT_PLAN } from '../../domain/key/plans';
import { planNameSchema } from '../plan/schema';
import { idText, named, timeInput, timestampSchema } from '../schema';
import type { Tenant } from './ports';

const nameSchema = z.string().min(1).max(200);

export const tenantCreateSchema = named(
  'TenantCreate',
  z.strictObject({ name: nameSchema, plan: planNameSchema.default(DEFAULT_PLAN) }),
);

export const tenantUpdateSchema = named('TenantUpdate', z.strictObject({ name: nameSchema }));

export const subscriptionPutSchema = named(
  'SubscriptionPut',
  z.strictObject({
    plan: planNameSchema,
    valid_from: timeInput.optional().describe('Not in the past; default: now'),
    valid_until: timeInput
      .nullish()
      .describe(
        `After \`valid_from\`; from then on the plan is \`${DEFAULT_PLAN}\`. Null, the default: no end`,
      ),
  }),
);

const subscriptionSchema = named(
  'Subscription',
  z.object({
    plan: z.string(),
    valid_from: timestampSchema,
    valid_until: timestampSchema.nullable().describe('Null: until another one begins'),
  }),
);

const planFields = {
  plan: z.string().describe('In force right now'),
  subscription: subscriptionSchema
    .nullable()
    .describe(`In force right now; null: none, and the plan is \`${DEFAULT_PLAN}\``),
  scheduled: z.array(subscriptionSchema).describe('Those that begin later, the next one first'),
};

export const tenantSchema = named(
  'Tenant',
  z.object({
    id: idText('tenant'),
    object: z.literal('tenant'),
    name: z.string(),
    ...planFields,
    created_at: timestampSchema,
  }),
);

export const tenantPlanSchema = named('TenantPlan', z.object({ tenant_id: idText('tenant'), ...planFields }));

export function toTenantBody(tenant: Tenant) {
  const { id, name, plan, subscription, scheduled, created_at } = tenant;
  return { id, object: 'tenant' as const, name, plan, subscription, scheduled, created_at };
}

export function toTenantPlanBody({ id, plan, subscription, scheduled }: Tenant) {
  return { tenant_id: id, plan, subscription, scheduled };
}
