/**
 * Configuration: the one reader of the environment. `loadConfig` is pure, reports every problem at once and answers a frozen
 * object.
 */
import path from 'node:path';
import { z } from 'zod';
import { ROLES, type Role, VARIABLES } from './config-variables';

export { ROLES, type Role };

export interface Config {
  readonly role: Role;
  readonly logLevel: string;
  readonly databaseUrl: string;
}

export interface MigrateConfig extends Config {
  readonly temporal: { readonly address: string; readonly namespace: string };
}

/** What API and worker have in common. */
export interface ServerConfig extends Config {
  readonly databaseConnectionsMax: number;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  readonly temporal: {
    readonly address: string;
    readonly namespace: string;
    readonly uiUrl: string | undefined;
  };
  /** 32 bytes each; the first encrypts */
  readonly secretKeys: readonly Uint8Array[];
  /** absolute */
  readonly dataDir: string;
  /** absolute */
  readonly handlersDir: string | undefined;
  /** CIDRs of addresses that may be called although they are not public */
  readonly egressAllow: readonly string[];
  readonly expressions: { readonly timeoutMs: number; readonly threads: number | undefined };
  readonly shutdownGraceMs: number;
}

export interface WorkerConfig extends ServerConfig {
  /** 0: no limit */
  readonly frozenLimitMs: number;
  readonly chunkSlots: number;
  /** without a slash at its end */
  readonly publicUrl: string | undefined;
}

export interface ApiConfig extends ServerConfig {
  readonly host: string;
  readonly port: number;
  readonly uploads: { readonly bytesMax: number; readonly perTenant: number };
  /** CIDRs of proxies that are believed where a request came from */
  readonly trustedProxies: readonly string[];
  /** of one address; 0: no limit */
  readonly authFailuresPerMinute: number;
  /** open at once in this process */
  readonly streamsMax: number;
  /** whether permessage-deflate is granted */
  readonly websocketDeflate: boolean;
}

export interface ConfigOf {
  api: ApiConfig;
  worker: WorkerConfig;
  migrate: MigrateConfig;
  admin: Config;
}

/** Every problem of an environment; `main` prints it and exits 78 (EX_CONFIG of sysexits.h). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(
      `The configuration has ${problems.length === 1 ? 'a problem' : 'problems'}:\n  ${problems.join('\n  ')}`,
    );
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A variable that is set to nothing counts as not set. @throws ConfigError */
export function loadConfig<R extends Role>(env: Environment, role: R): ConfigOf[R] {
  const names = (Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]).filter((name) =>
    VARIABLES[name].roles.includes(role),
  );
  const schema = z.object(Object.fromEntries(names.map((name) => [name, VARIABLES[name].schema])));
  const parsed = schema.safeParse(Object.fromEntries(names.map((name) => [name, env[name] || undefined])));
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map((issue) => problemOf(issue, env)));
  return deepFreeze(toConfig(parsed.data as Values, role)) as ConfigOf[R];
}

type Values = { [N in keyof typeof VARIABLES]: z.output<(typeof VARIABLES)[N]['schema']> };

function toConfig(values: Values, role: Role): Config {
  const config: Config = { role, logLevel: values.LOG_LEVEL, databaseUrl: values.DATABASE_URL };
  const temporal = { address: values.TEMPORAL_ADDRESS, namespace: values.TEMPORAL_NAMESPACE };
  if (role === 'admin') return config;
  if (role === 'migrate') return toMigrateConfig(config, temporal);
  const server: ServerConfig = {
    ...config,
    databaseConnectionsMax: values.MILLRACE_DB_CONNECTIONS_MAX,
    redisUrl: values.REDIS_URL,
    redisPrefix: values.MILLRACE_REDIS_PREFIX,
    temporal: { ...temporal, uiUrl: values.TEMPORAL_UI_URL?.replace(/\/+$/, '') },
    secretKeys: values.MILLRACE_SECRET_KEYS,
    dataDir: path.resolve(values.MILLRACE_DATA_DIR),
    handlersDir: values.MILLRACE_HANDLERS_DIR && path.resolve(values.MILLRACE_HANDLERS_DIR),
    egressAllow: values.MILLRACE_EGRESS_ALLOW ?? [],
    expressions: {
      timeoutMs: values.MILLRACE_EXPRESSION_TIMEOUT_MS,
      threads: values.MILLRACE_EXPRESSION_THREADS,
    },
    shutdownGraceMs: values.MILLRACE_SHUTDOWN_GRACE_MS,
  };
  if (role === 'worker') return toWorkerConfig(server, values);
  const api: ApiConfig = {
    ...server,
    host: values.HOST,
    port: values.PORT,
    uploads: { bytesMax: values.MILLRACE_UPLOAD_BYTES_MAX, perTenant: values.MILLRACE_UPLOADS_PER_TENANT },
    trustedProxies: values.MILLRACE_TRUSTED_PROXIES ?? [],
    authFailuresPerMinute: values.MILLRACE_AUTH_FAILURES_PER_MINUTE,
    streamsMax: values.MILLRACE_STREAMS_MAX,
    websocketDeflate: values.MILLRACE_WEBSOCKET_DEFLATE,
  };
  return api;
}

function toWorkerConfig(server: ServerConfig, values: Values): WorkerConfig {
  return {
    ...server,
    frozenLimitMs: values.MILLRACE_FROZEN_LIMIT_MS,
    chunkSlots: values.MILLRACE_CHUNK_SLOTS,
    publicUrl: values.MILLRACE_PUBLIC_URL?.replace(/\/+$/, ''),
  };
}

function toMigrateConfig(config: Config, temporal: MigrateConfig['temporal']): MigrateConfig {
  return { ...config, temporal };
}

/** Names the variable and what is wrong, never its value: it may be a secret. */
function problemOf(issue: z.core.$ZodIssue, env: Environment): string {
  const name = String(issue.path[0]);
  return env[name] ? `${name}: ${issue.message}` : `${name} is needed`;
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null && !ArrayBuffer.isView(part)) deepFreeze(part);
  }
  return Object.freeze(value);
}
