/** `PATCH /v1/api-keys/{id}`. */
import { z } from 'zod';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { wantedBounds } from './bounds';
import { type ChangeKeyDeps, changeKey, requireActive } from './change-key';
import { toKeyBody } from './key-body';
import { requireAdminLeft } from './last-admin';
import { keySchema, keyUpdateSchema } from './schema';

export function updateKeyRoute(deps: ChangeKeyDeps): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/api-keys/{id}',
    operationId: 'updateApiKey',
    summary: 'Change an API key',
    description:
      'What is left out stays as it is; every process follows within a second. It takes a key that has all scopes of the one ' +
      'that is changed, and what it gives it must have itself. The last key with `admin` that has no end keeps both.',
    tags: ['keys'],
    scopes: ['keys:write'],
    params: z.strictObject({ id: idParam('key') }),
    body: keyUpdateSchema,
    bodyExample: { name: 'nightly import', scopes: ['jobs:read'], expires_at: null },
    responses: { 200: { description: 'The key as it is now', schema: keySchema } },
    errors: ['not_found', 'scope_escalation', 'key_not_active', 'last_admin_key'],
    handler: async ({ params: { id }, body, principal, transact }) => {
      const now = deps.now();
      const given = wantedBounds(body, now);
      return transact((stores) =>
        changeKey({ stores, principal, now }, id, async ({ key, ref, giver }) => {
          giver.requireScopes([...key.scopes, ...(body.scopes ?? [])]);
          giver.requireBounds(given);
          requireActive(key, now);
          const after = { ...key, ...given, name: body.name ?? key.name, scopes: body.scopes ?? key.scopes };
          await requireAdminLeft(stores.keys, { before: key, after }, now);
          return ok(toKeyBody(await stores.keys.update(ref, after), now));
        }),
      );
    },
  });
}
