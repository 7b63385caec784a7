/** `PATCH /v1/api-keys/{id}`. */
import { z } from 'zod';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { wantedBounds } from './bounds';
import { changeKey, requireActive } from './change-key';
import { toKeyBody } from './key-body';
import { requireAdminLeft } from './last-admin';
import { keySchema, keyUpdateSchema } from './schema';

export interface UpdateKeyDeps {
  now(): Date;
}

export function updateKeyRoute(deps: UpdateKeyDeps): Route {
  return defineRoute({
    method: 'patch',
    path: '/v1/api-keys/{id}',
    operationId: 'updateApiKey',
    summary: 'Change an API key',
    description:
      'What is left out stays as it is; every process follows within a second. It takes a key that has all scopes of the one ' +
      'that is changed, and what it gives it must have itself. One with limits of its own changes itself only. The last key with `admin` that has no end keeps both.',
    tags: ['keys'],
    scopes: ['keys:write'],
    params: z.strictObject({ id: idParam('key') }),
    body: keyUpdateSchema,
    bodyExample: { name: 'nightly import', scopes: ['jobs:read'], expires_at: null },
    responses: { 200: { description: 'The key as it is now', schema: keySchema } },
    errors: ['not_found', 'scope_escalation', 'limited_key', 'key_not_active', 'last_admin_key'],
    handler: async ({ params: { id }, body, principal, transact }) => {
      const given = wantedBounds(body, deps.now());
      return transact((stores) =>
        changeKey({ stores, principal }, id, async ({ key, ref, giver }) => {
          giver.requireUnlimited(key.id);
          giver.requireScopes([...key.scopes, ...(body.scopes ?? [])]);
          giver.requireBounds(given);
          requireActive(key);
          const after = { ...key, ...given, name: body.name ?? key.name, scopes: body.scopes ?? key.scopes };
          await requireAdminLeft(stores.keys, { before: key, after });
          return ok(toKeyBody(await stores.keys.update(ref, after)));
        }),
      );
    },
  });
}
