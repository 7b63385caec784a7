/** A real API in this process, on a database of its own, with everything that `main api` would give it. */
import { randomBytes } from 'node:crypto';
import { composeApi } from '../../src/compose';
import { composeAdmin } from '../../src/compose/admin';
import type { Scope } from '../../src/domain/key/scopes';
import { loadConfig } from '../../src/platform/config';
import { createLifecycle } from '../../src/platform/lifecycle';
import { createLogger } from '../../src/platform/logger';
import { createTestDatabase, testServers } from './servers';

export interface TestApi {
  url: string;
  databaseUrl: string;
  environment: Readonly<Record<string, string>>;
  /** of the first tenant */
  adminKey: string;
  tenantId: string;
  /** what the API logged so far, one object a line */
  logged(): Record<string, unknown>[];
  createKey(wish: { tenantId?: string; scopes: readonly Scope[]; expiresAt?: Date }): Promise<string>;
  close(): Promise<void>;
}

/** @param beside another process of the same installation, with its database, Redis and keys; it must be closed last */
export async function startApi(env: Record<string, string> = {}, beside?: TestApi): Promise<TestApi> {
  const servers = testServers();
  const database = beside === undefined ? await createTestDatabase() : borrowed(beside);
  const environment = {
    DATABASE_URL: database.url,
    REDIS_URL: servers.redisUrl,
    TEMPORAL_ADDRESS: servers.temporalAddress,
    MILLRACE_REDIS_PREFIX: `test:${randomBytes(6).toString('hex')}:`,
    MILLRACE_SECRET_KEYS: randomBytes(32).toString('base64'),
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'debug',
    MILLRACE_SHUTDOWN_GRACE_MS: '2000',
    MILLRACE_AUTH_FAILURES_PER_MINUTE: '0',
    ...beside?.environment,
    ...env,
  };
  const lines: string[] = [];
  const log = createLogger({
    level: 'debug',
    role: 'api',
    destination: { write: (line) => void lines.push(line) },
  });
  const lifecycle = createLifecycle(log);
  const admin = composeAdmin({ config: loadConfig(environment, 'admin'), log, lifecycle });
  const first = await admin.bootstrap();
  const { port } = await composeApi({ config: loadConfig(environment, 'api'), log, lifecycle });
  return {
    url: `http://127.0.0.1:${port}`,
    databaseUrl: database.url,
    environment,
    adminKey: first.admin_key ?? beside?.adminKey ?? '',
    tenantId: first.tenant_id ?? beside?.tenantId ?? '',
    logged: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    createKey: async ({ tenantId, scopes, expiresAt }) => {
      return (await admin.createKey({ tenantId, name: 'test', scopes, expiresAt: expiresAt ?? null })).key;
    },
    close: async () => {
      await lifecycle.close();
      await database.drop();
    },
  };
}

function borrowed({ databaseUrl }: TestApi) {
  return { url: databaseUrl, drop: async () => undefined };
}

export interface Call {
  method?: string;
  key?: string;
  headers?: Record<string, string>;
  /** sent as JSON, or as it is where it is text or bytes */
  body?: unknown;
}

export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  /** the body parsed, where it is JSON */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- read as it comes; the assertions check its shape
  body: any;
}

export async function call(api: { url: string }, path: string, how: Call = {}): Promise<Reply> {
  const raw = typeof how.body === 'string' || how.body instanceof Uint8Array;
  const response = await fetch(`${api.url}${path}`, {
    method: how.method ?? (how.body === undefined ? 'GET' : 'POST'),
    redirect: 'manual',
    headers: {
      ...(how.key === undefined ? {} : { Authorization: `Bearer ${how.key}` }),
      ...(how.body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...how.headers,
    },
    ...(how.body === undefined ? {} : { body: raw ? (how.body as string) : JSON.stringify(how.body) }),
  });
  const text = await response.text();
  const json = text !== '' && /\bjson\b/.test(response.headers.get('content-type') ?? '');
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: json ? JSON.parse(text) : undefined,
  };
}
