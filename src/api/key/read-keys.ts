/** `GET /v1/api-keys` and `GET /v1/api-keys/{id}`. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import { tryDecodeId } from '../../domain/ids';
import { decodeCursor, toPage } from '../paging';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam, PAGE_LIMIT_DEFAULT, pageSchema } from '../schema';
import type { TenantStore } from '../tenant/ports';
import { toKeyBody } from './key-body';
import type { KeyStore } from './ports';
import { keyListQuery, keySchema } from './schema';
import { requireTenant, visibleKey } from './visible';

export interface ReadKeyDeps {
  keys: Pick<KeyStore, 'find' | 'findAnywhere' | 'list'>;
  tenants: Pick<TenantStore, 'find'>;
}

export function listKeysRoute({ keys, tenants }: ReadKeyDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/api-keys',
    operationId: 'listApiKeys',
    summary: 'List API keys',
    description:
      'Of your own tenant, newest first, also those that expired or were revoked; with `admin`, of any tenant.',
    tags: ['keys'],
    scopes: ['keys:read'],
    query: keyListQuery,
    responses: { 200: { description: 'A page of keys', schema: pageSchema(keySchema) } },
    errors: ['malformed_cursor', 'not_found'],
    handler: async ({ query, principal }) => {
      const { cursor, status, limit = PAGE_LIMIT_DEFAULT, tenant_id: tenantId = principal.tenantId } = query;
      await requireTenant(tenants, principal, tenantId);
      const list = `api-keys?tenant_id=${tenantId}&status=${status ?? ''}`;
      const after = cursor === undefined ? undefined : keyIdIn(decodeCursor(list, cursor));
      const rows = await keys.list({ tenantId, after, status, limit: limit + 1 });
      const { data, next_cursor } = toPage(list, rows, { limit, positionOf: ({ id }) => id });
      return ok({ data: data.map(toKeyBody), next_cursor });
    },
  });
}

function keyIdIn(position: string | number): string {
  const id = String(position);
  if (tryDecodeId('key', id) !== undefined) return id;
  throw new AppError('malformed_cursor', 'This cursor is not one of this list.');
}

export function getKeyRoute({ keys }: ReadKeyDeps): Route {
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
    handler: async ({ params: { id }, principal }) => ok(toKeyBody(await visibleKey(keys, principal, id))),
  });
}
