/** API keys, and who am I. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { type Principal, type Scope, scopesBeyond } from '../../domain/key/scopes';
import type { ApiKey, KeyStore, TenantStore } from '../ports';
import { created, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { issueKey, type KeyMint } from './issue-key';
import { createdKeySchema, keyCreateSchema, keySchema, meSchema } from './schema';

export interface KeyRouteDeps {
  keys: KeyStore;
  mint: KeyMint;
  newKeyId(): string;
  now(): Date;
}

export function keyRoutes(deps: KeyRouteDeps): Route[] {
  return [getMe(deps), createApiKey(deps), getApiKey(deps)];
}

function getMe(deps: KeyRouteDeps): Route {
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
      const { tenantId, keyId } = principal;
      const key = existing(await deps.keys.find({ tenantId, keyId }));
      return ok({
        key: { id: key.id, name: key.name, prefix: key.prefix, expires_at: key.expires_at },
        tenant: { id: principal.tenantId, name: principal.tenantName },
        plan: principal.plan.name,
        scopes: principal.scopes,
      });
    },
  });
}

function createApiKey(deps: KeyRouteDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/api-keys',
    operationId: 'createApiKey',
    summary: 'Create an API key',
    description:
      'A key grants only scopes it has itself, in its own tenant; only `admin` may name another tenant.',
    tags: ['keys'],
    scopes: ['keys:write'],
    idempotent: true,
    secretAnswer: true,
    body: keyCreateSchema,
    bodyExample: { name: 'nightly import', scopes: ['jobs:read', 'jobs:write'] },
    responses: { 201: { description: 'The key; `secret` is shown this once', schema: createdKeySchema } },
    errors: ['scope_escalation', 'not_found'],
    handler: async ({ body, principal, transact }) => {
      const expiresAt = futureTime(body.expires_at ?? null, deps.now());
      const tenantId = body.tenant_id ?? principal.tenantId;
      return transact(async (stores) => {
        await requireTenant(stores.tenants, principal, tenantId);
        requireNoEscalation(principal, body.scopes);
        const wish = { tenantId, name: body.name, scopes: body.scopes, expiresAt };
        const { key, secret } = await issueKey({ ...deps, keys: stores.keys }, wish);
        return created(`/v1/api-keys/${key.id}`, { ...toKeyBody(key), secret });
      });
    },
  });
}

function getApiKey(deps: KeyRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/api-keys/{id}',
    operationId: 'getApiKey',
    summary: 'Get an API key',
    description: 'One of your own tenant; with `admin`, any.',
    tags: ['keys'],
    scopes: ['keys:read'],
    params: z.strictObject({ id: idParam('key') }),
    responses: { 200: { description: 'The key, without its secret', schema: keySchema } },
    errors: ['not_found'],
    handler: async ({ params, principal }) => {
      const key = principal.scopes.includes('admin')
        ? await deps.keys.findAnywhere(params.id)
        : await deps.keys.find({ tenantId: principal.tenantId, keyId: params.id });
      return ok(toKeyBody(existing(key)));
    },
  });
}

function existing(key: ApiKey | undefined): ApiKey {
  if (key === undefined) throw new AppError('not_found', 'There is no key with this id.');
  return key;
}

function futureTime(text: string | null, now: Date): Date | null {
  if (text === null) return null;
  const time = new Date(text);
  if (time > now) return time;
  const errors = [{ pointer: '/expires_at', detail: 'lies in the past' }];
  throw new AppError('validation_failed', '/expires_at: lies in the past', { errors });
}

/** Without `admin`, another tenant's id answers like one that no tenant has: a key must not find out who else is here. */
async function requireTenant(tenants: TenantStore, asker: Principal, tenantId: string): Promise<void> {
  if (tenantId === asker.tenantId) return;
  const visible = asker.scopes.includes('admin') && (await tenants.find(tenantId)) !== undefined;
  if (!visible) throw new AppError('not_found', 'There is no tenant with this id.');
}

function requireNoEscalation(asker: Principal, wanted: readonly Scope[]): void {
  const beyond = scopesBeyond(asker.scopes, wanted);
  if (beyond.length > 0) {
    throw new AppError('scope_escalation', `This key can't grant what it lacks: ${beyond.join(', ')}.`);
  }
}

function toKeyBody(key: ApiKey) {
  return {
    id: key.id,
    object: 'api_key',
    tenant_id: key.tenant_id,
    name: key.name,
    prefix: key.prefix,
    scopes: key.scopes,
    expires_at: key.expires_at,
    revoked_at: key.revoked_at,
    created_at: key.created_at,
  };
}
