/** API keys, and who am I. */
import type { Route } from '../route';
import { type CreateKeyDeps, createKeyRoute } from './create-key';
import { getMeRoute } from './get-me';
import { getKeyRoute, listKeysRoute, type ReadKeyDeps } from './read-keys';
import { revokeKeyRoute } from './revoke-key';
import { rotateKeyRoute } from './rotate-key';
import { updateKeyRoute } from './update-key';

export interface KeyRouteDeps extends CreateKeyDeps, ReadKeyDeps {}

export function keyRoutes(deps: KeyRouteDeps): Route[] {
  return [
    getMeRoute(deps),
    createKeyRoute(deps),
    listKeysRoute(deps),
    getKeyRoute(deps),
    updateKeyRoute(deps),
    rotateKeyRoute(deps),
    revokeKeyRoute(),
  ];
}
