/** `GET /v1/me`. */
import { toLimitsBody } from '../plan/schema';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { toBoundsBody } from './key-body';
import type { KeyStore } from './ports';
import { meSchema } from './schema';
import { existing } from './visible';

export function getMeRoute({ keys }: { keys: Pick<KeyStore, 'find'> }): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/me',
    operationId: 'getMe',
    summary: 'Who am I',
    description: 'The key that asks, its tenant and plan, and what it may do.',
    tags: ['keys'],
    scopes: [],
    responses: { 200: { description: 'The asker', schema: meSchema } },
    handler: async ({ principal }) => {
      const { tenantId, tenantName, keyId, plan, scopes } = principal;
      const key = existing(await keys.find({ tenantId, keyId }));
      return ok({
        key: { id: key.id, name: key.name, prefix: key.prefix, ...toBoundsBody(key) },
        tenant: { id: tenantId, name: tenantName },
        plan: plan.name,
        limits: toLimitsBody(plan.limits),
        scopes,
      });
    },
  });
}
