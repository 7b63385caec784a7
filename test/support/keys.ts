/** Keys of tests, by the API itself. */
import type { Scope } from '../../src/domain/key/scopes';
import { call, type Reply, type TestApi } from './api';

export interface MadeKey {
  id: string;
  secret: string;
  prefix: string;
}

/** @param body beside name and scopes; `tenant_id` where it is not the first tenant's */
export async function makeKey(
  api: TestApi,
  scopes: readonly Scope[],
  body: Record<string, unknown> = {},
): Promise<MadeKey> {
  const reply = await call(api, '/v1/api-keys', {
    key: api.adminKey,
    body: { name: 'test', scopes, ...body },
  });
  if (reply.status !== 201) throw new Error(reply.text);
  return reply.body;
}

export async function makeTenant(api: TestApi, plan = 'unlimited'): Promise<string> {
  const { body } = await call(api, '/v1/tenants', { key: api.adminKey, body: { name: 'test', plan } });
  return body.id;
}

export const patchKey = (api: TestApi, id: string, how: { key: string; body: unknown }): Promise<Reply> =>
  call(api, `/v1/api-keys/${id}`, { method: 'PATCH', ...how });

export const revokeKey = (api: TestApi, id: string, key = api.adminKey): Promise<Reply> =>
  call(api, `/v1/api-keys/${id}`, { method: 'DELETE', key });

export const rotateKey = (
  api: TestApi,
  id: string,
  how: { key?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Reply> => call(api, `/v1/api-keys/${id}/rotate`, { method: 'POST', key: api.adminKey, ...how });

/** Status and code of a refusal, or the status alone. */
export const outcome = ({ status, body }: Reply): [number, string?] =>
  body?.code === undefined ? [status] : [status, body.code];
