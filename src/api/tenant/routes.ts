/** Tenants: who owns everything else. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { decodeCursor, toPage } from '../paging';
import { created, noContent, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageQuery, pageSchema } from '../schema';
import type { TenantStore } from './ports';
import { type PutSubscriptionDeps, putSubscriptionRoute } from './put-subscription';
import { tenantCreateSchema, tenantSchema, tenantUpdateSchema, toTenantBody } from './schema';
import { existing, maySee } from './visible';

export interface TenantRouteDeps extends PutSubscriptionDeps {
  tenants: Pick<TenantStore, 'find' | 'list'>;
  newTenantId(): string;
}

export function tenantRoutes(deps: TenantRouteDeps): Route[] {
  return [
    createTenant(deps),
    listTenants(deps),
    getTenant(deps),
    updateTenant(),
    deleteTenant(),
    putSubscriptionRoute(deps),
  ];
}

const LIST = 'tenants';
const params = z.strictObject({ id: idParam('tenant') });

function createTenant(deps: TenantRouteDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/tenants',
    operationId: 'createTenant',
    summary: 'Create a tenant',
    tags: ['tenants'],
    scopes: ['admin'],
    idempotent: true,
    body: tenantCreateSchema,
    bodyExample: { name: 'Acme', plan: 'basic' },
    responses: { 201: { description: 'The tenant', schema: tenantSchema } },
    errors: ['unknown_plan'],
    handler: ({ body, transact }) =>
      transact(async (stores) => {
        const tenant = await stores.tenants.insert({ id: deps.newTenantId(), ...body });
        return created(`/v1/tenants/${tenant.id}`, toTenantBody(tenant));
      }),
  });
}

function listTenants({ tenants }: TenantRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/tenants',
    operationId: 'listTenants',
    summary: 'List tenants',
    description: 'Newest first.',
    tags: ['tenants'],
    scopes: ['admin'],
    query: z.strictObject(pageQuery),
    responses: { 200: { description: 'A page of tenants', schema: pageSchema(tenantSchema) } },
    errors: ['malformed_cursor'],
    handler: async ({ query }) => {
      const { cursor, limit = PAGE_LIMIT_DEFAULT } = query;
      const after = cursor === undefined ? undefined : tenantIdIn(decodeCursor(LIST, cursor));
      const rows = await tenants.list({ after, limit: limit + 1 });
      const { data, next_cursor } = toPage(LIST, rows, { limit, positionOf: ({ id }) => id });
      return ok({ data: data.map(toTenantBody), next_cursor });
    },
  });
}

function tenantIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('tenant', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

function getTenant({ tenants }: TenantRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/tenants/{id}',
    operationId: 'getTenant',
    summary: 'Get a tenant',
    description: 'Your own; with `admin`, any.',
    tags: ['tenants'],
    scopes: [],
    params,
    responses: { 200: { description: 'The tenant', schema: tenantSchema } },
    errors: ['not_found'],
    handler: async ({ params: { id }, principal }) => {
      const visible = maySee(principal, id);
      return ok(toTenantBody(existing(visible ? await tenants.find(id) : undefined)));
    },
  });
}

function updateTenant(): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/tenants/{id}',
    operationId: 'updateTenant',
    summary: 'Rename a tenant',
    tags: ['tenants'],
    scopes: ['admin'],
    params,
    body: tenantUpdateSchema,
    bodyExample: { name: 'Acme Ltd' },
    responses: { 200: { description: 'The tenant', schema: tenantSchema } },
    errors: ['not_found'],
    handler: ({ params: { id }, body, transact }) =>
      transact(async (stores) => ok(toTenantBody(await stores.tenants.rename(id, body.name)))),
  });
}

function deleteTenant(): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/tenants/{id}',
    operationId: 'deleteTenant',
    summary: 'Delete a tenant and its jobs',
    description:
      'Its keys stop at once, and from then on it is not found; there is no way back. Jobs that run are cancelled, and all are ' +
      'removed with their items and results in the background. The tenant of the key that asks is refused, and so is one that has ' +
      'the last key with `admin` that has no end.',
    tags: ['tenants'],
    scopes: ['admin'],
    params,
    responses: { 204: { description: 'The tenant is gone' } },
    errors: ['not_found', 'own_tenant', 'last_admin_key'],
    handler: async ({ params: { id }, principal, transact }) => {
      if (id === principal.tenantId) {
        throw new AppError('own_tenant', 'The key that asks belongs to this tenant.');
      }
      return transact(async (stores) => {
        await stores.tenants.remove(id, { keyId: principal.keyId });
        return noContent();
      });
    },
  });
}
