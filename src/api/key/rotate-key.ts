/** `POST /v1/api-keys/{id}/rotate`. */
import { z } from 'zod';
import { created } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import { changeKey, requireActive } from './change-key';
import type { KeyMint } from './issue-key';
import { keyPath, toKeyBody } from './key-body';
import { createdKeySchema, keyRotateSchema } from './schema';

export interface RotateKeyDeps {
  mint: KeyMint;
}

export function rotateKeyRoute(deps: RotateKeyDeps): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/api-keys/{id}/rotate',
    operationId: 'rotateApiKey',
    summary: 'Give an API key another secret',
    description:
      'The key stays what it is, its secrets so far end after `overlap_seconds` (default 0: at once; a week at most), or earlier ' +
      'where that was settled before. A key with an end keeps it. It takes a key that has all that this one has: whoever rotates a key can use it. ' +
      'One with limits of its own rotates itself only.',
    tags: ['keys'],
    scopes: ['keys:write'],
    idempotent: true,
    secretAnswer: true,
    params: z.strictObject({ id: idParam('key') }),
    body: keyRotateSchema,
    bodyExample: { overlap_seconds: 86_400 },
    responses: {
      201: {
        description: 'The key; its new `secret` is shown this once',
        schema: createdKeySchema,
        headers: { Location: 'Address of the key' },
      },
    },
    errors: ['not_found', 'scope_escalation', 'limited_key', 'key_not_active'],
    handler: async ({ params: { id }, body, principal, transact }) =>
      transact((stores) =>
        changeKey({ stores, principal }, id, async ({ key, ref, giver }) => {
          giver.requireUnlimited(key.id);
          giver.requireScopes(key.scopes);
          giver.requireBounds(key);
          requireActive(key);
          const { secret, prefix, hash } = deps.mint.mint();
          const rotated = await stores.keys.rotate(ref, {
            prefix,
            hash,
            overlapSeconds: body.overlap_seconds,
          });
          return created(keyPath(key.id), { ...toKeyBody(rotated), secret });
        }),
      ),
  });
}
