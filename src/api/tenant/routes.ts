/** Tenants: who owns everything else. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import type { Tenant, TenantStore } from '../ports';
import { created, ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { tenantCreateSchema, tenantSchema } from './schema';

export interface TenantRouteDeps {
  tenants: TenantStore;
  newTenantId(): string;
}

export function tenantRoutes(deps: TenantRouteDeps): Route[] {
  return [createTenant(deps), getTenant(deps)];
}

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
    handler: async ({ body, transact }) =>
      transact(async (stores) => {
        const tenant = await stores.tenants.insert({ id: deps.newTenantId(), ...body });
        return created(`/v1/tenants/${tenant.id}`, toTenantBody(tenant));
      }),
  });
}

function getTenant(deps: TenantRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/tenants/{id}',
    operationId: 'getTenant',
    summary: 'Get a tenant',
    description: 'Your own; with `admin`, any.',
    tags: ['tenants'],
    scopes: [],
    params: z.strictObject({ id: idParam('tenant') }),
    responses: { 200: { description: 'The tenant', schema: tenantSchema } },
    errors: ['not_found'],
    handler: async ({ params, principal }) => {
      const visible = params.id === principal.tenantId || principal.scopes.includes('admin');
      const tenant = visible ? await deps.tenants.find(params.id) : undefined;
      if (tenant === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
      return ok(toTenantBody(tenant));
    },
  });
}

function toTenantBody(tenant: Tenant) {
  return {
    id: tenant.id,
    object: 'tenant',
    name: tenant.name,
    plan: tenant.plan,
    created_at: tenant.created_at,
  };
}
