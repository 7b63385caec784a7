/** `DELETE /v1/api-keys/{id}`. */
import { z } from 'zod';
import { noContent } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { changeKey } from './change-key';
import { requireAdminLeft } from './last-admin';

export function revokeKeyRoute(): Route {
  return defineRoute({
    method: 'delete',
    path: '/v1/api-keys/{id}',
    operationId: 'revokeApiKey',
    summary: 'Revoke an API key',
    description:
      'It stops within a second on every process, for ever; its entry stays, with `revoked_at`. Revoked again, nothing changes. A ' +
      'key with `admin` is revoked by one that has it too, and the last one that has no end not at all.',
    tags: ['keys'],
    scopes: ['keys:write'],
    params: z.strictObject({ id: idParam('key') }),
    responses: { 204: { description: 'It is revoked' } },
    errors: ['not_found', 'scope_escalation', 'last_admin_key'],
    handler: async ({ params: { id }, principal, transact }) =>
      transact((stores) =>
        changeKey({ stores, principal }, id, async ({ key, ref, giver }) => {
          if (key.scopes.includes('admin')) giver.requireScopes(['admin']);
          await requireAdminLeft(stores.keys, { before: key, after: undefined });
          await stores.keys.revoke(ref);
          return noContent();
        }),
      ),
  });
}
