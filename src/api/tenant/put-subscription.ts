/** `PUT /v1/tenants/{id}/subscription`: the plan of a tenant, from now on or from a time to come. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import type { NewSubscription } from './ports';
import { subscriptionPutSchema, tenantPlanSchema, toTenantPlanBody } from './schema';
import { existing } from './visible';

export interface PutSubscriptionDeps {
  now(): Date;
}

export function putSubscriptionRoute({ now }: PutSubscriptionDeps): Route {
  return defineRoute({
    method: 'put',
    path: '/v1/tenants/{id}/subscription',
    operationId: 'putTenantSubscription',
    summary: "Set a tenant's plan",
    description:
      'Replaces everything that was planned for `valid_from` and later; what is in force then ends at that time. A change takes ' +
      'effect by itself when its time has come. For a plan that follows at the end of another one, ask twice, the earlier ' +
      'one first.',
    tags: ['tenants'],
    scopes: ['admin'],
    params: z.strictObject({ id: idParam('tenant') }),
    body: subscriptionPutSchema,
    bodyExample: { plan: 'premium', valid_until: '2100-01-01T00:00:00Z' },
    responses: {
      200: { description: 'What is in force now, and what is to come', schema: tenantPlanSchema },
    },
    errors: ['not_found', 'unknown_plan'],
    handler: async ({ params, body, transact }) => {
      const wish = toSubscription(body, now());
      return transact(async (stores) => {
        await stores.subscriptions.replace(params.id, wish);
        return ok(toTenantPlanBody(existing(await stores.tenants.find(params.id))));
      });
    },
  });
}

/** @throws AppError `validation_failed` */
function toSubscription(body: z.output<typeof subscriptionPutSchema>, now: Date): NewSubscription {
  const { plan, valid_from, valid_until = null } = body;
  const validFrom = valid_from === undefined ? undefined : new Date(valid_from);
  if (validFrom !== undefined && validFrom < now) {
    const errors = [{ pointer: '/valid_from', detail: 'lies in the past' }];
    throw new AppError('validation_failed', '/valid_from: lies in the past', { errors });
  }
  return { plan, validFrom, validUntil: valid_until === null ? undefined : new Date(valid_until) };
}
