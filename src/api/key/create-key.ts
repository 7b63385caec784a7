/** `POST /v1/api-keys`. */
import { created } from '../respond';
import { defineRoute, type Route } from '../route';
import { wantedBounds } from './bounds';
import { giverOf } from './escalation';
import { issueKey, type KeyMint } from './issue-key';
import { keyPath, toKeyBody } from './key-body';
import { createdKeySchema, keyCreateSchema } from './schema';
import { requireTenant } from './visible';

export interface CreateKeyDeps {
  mint: KeyMint;
  newKeyId(): string;
  now(): Date;
}

const EXAMPLE = {
  name: 'nightly import',
  scopes: ['jobs:read', 'jobs:write'],
  allowed_cidrs: ['192.0.2.0/24'],
  requests_per_minute: 30,
};

export function createKeyRoute(deps: CreateKeyDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/api-keys',
    operationId: 'createApiKey',
    summary: 'Create an API key',
    description:
      'A key gives only what it has itself: scopes, time and addresses, in its own tenant. One with limits of its own makes no ' +
      'keys. Only `admin` gives what it likes, and may name another tenant.',
    tags: ['keys'],
    scopes: ['keys:write'],
    idempotent: true,
    secretAnswer: true,
    body: keyCreateSchema,
    bodyExample: EXAMPLE,
    responses: { 201: { description: 'The key; `secret` is shown this once', schema: createdKeySchema } },
    errors: ['scope_escalation', 'limited_key', 'not_found'],
    handler: async ({ body, principal, transact }) => {
      const now = deps.now();
      const given = wantedBounds(body, now);
      const tenantId = body.tenant_id ?? principal.tenantId;
      return transact(async ({ keys, tenants }) => {
        await requireTenant(tenants, principal, tenantId);
        const giver = await giverOf({ find: (ref) => keys.hold(ref) }, principal);
        giver.requireUnlimited();
        giver.requireScopes(body.scopes);
        giver.requireBounds(given);
        const bounds = { ...giver.bounds, ...given };
        const wish = { tenantId, name: body.name, scopes: body.scopes, bounds };
        const { key, secret } = await issueKey({ ...deps, keys }, wish);
        return created(keyPath(key.id), { ...toKeyBody(key), secret });
      });
    },
  });
}
