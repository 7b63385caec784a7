/** One tenant's view of the API. */
import { randomBytes } from 'node:crypto';

export interface ApiClient {
  readonly url: string;
  readonly key: string;
  /** As fetch, with the key. */
  call(method: string, route: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** As `call`, and the answer's JSON. */
  json<T>(method: string, route: string, body?: unknown): Promise<T>;
}

export function createApiClient({ url, key }: { url: string; key: string }): ApiClient {
  const call: ApiClient['call'] = (method, route, body, headers = {}) =>
    fetch(url + route, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: isRaw(body) ? body : JSON.stringify(body), duplex: 'half' }),
    });
  return {
    url,
    key,
    call,
    async json<T>(method: string, route: string, body?: unknown) {
      const response = await call(method, route, body);
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`);
      return JSON.parse(text) as T;
    },
  };
}

/** A tenant of its own, made by an admin, with a key for its jobs. */
export async function createTenant(admin: ApiClient, plan: string): Promise<ApiClient> {
  const { id } = await admin.json<{ id: string }>('POST', '/v1/tenants', { name: `a ${plan} one`, plan });
  const { secret } = await admin.json<{ secret: string }>('POST', '/v1/api-keys', {
    name: 'its jobs',
    tenant_id: id,
    scopes: ['jobs:read', 'jobs:write'],
  });
  return createApiClient({ url: admin.url, key: secret });
}

/** On a plan of its own, with these limits and no others: tests ask more often than the plans that are there allow. */
export async function createTenantWith(
  admin: ApiClient,
  limits: Readonly<Record<string, number>>,
): Promise<ApiClient> {
  const name = `plan-${randomBytes(6).toString('hex')}`;
  await admin.json('POST', '/v1/plans', { name, ...limits });
  return createTenant(admin, name);
}

/** What goes out as it is; anything else goes out as JSON. */
export type RawBody = string | Uint8Array | ReadableStream;

function isRaw(body: unknown): body is RawBody {
  return typeof body === 'string' || body instanceof ReadableStream || ArrayBuffer.isView(body);
}
