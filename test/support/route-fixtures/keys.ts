import { randomUUID } from 'node:crypto';
import type { KeyedFixture, RouteFixtures } from './fixture';
import type { Owner } from './world';

/** No more than the routes ask for, so that a key with just that may change it. */
const SCOPES = ['keys:write'];

const someKey = async (owner: Owner): Promise<string> =>
  (await owner.make('POST', '/v1/api-keys', { name: 'target', scopes: SCOPES })).id;

const onKey = (more: object = {}): KeyedFixture => ({
  asks: 'apiKey',
  ids: { 'path.id': 'key' },
  request: async (owner) => ({ path: { id: await someKey(owner) }, ...more }),
});

export const keyFixtures: RouteFixtures = {
  getMe: { asks: 'apiKey', request: () => ({}) },
  createApiKey: {
    asks: 'apiKey',
    ids: { 'body.tenant_id': 'tenant' },
    request: () => ({ body: { name: `made ${randomUUID()}`, scopes: SCOPES } }),
  },
  listApiKeys: {
    asks: 'apiKey',
    ids: { 'query.tenant_id': 'tenant' },
    request: async (owner) => {
      await Promise.all([someKey(owner), someKey(owner)]);
      return {};
    },
  },
  getApiKey: onKey(),
  updateApiKey: onKey({ body: { name: 'renamed' } }),
  revokeApiKey: onKey(),
  rotateApiKey: onKey({ body: { overlap_seconds: 0 } }),
  getApiKeyUsage: onKey(),
};
