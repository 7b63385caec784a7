/** What several roles are built of. Whatever is opened here is handed to the lifecycle. */
import os from 'node:os';
import { builtInHandlers } from '../activities/handlers';
import { loadHandlers } from '../activities/handlers/load';
import { withOpenSecrets } from '../activities/handlers/open-secrets';
import { createHandlerRegistry } from '../activities/handlers/registry';
import type { Handler, HandlerRegistry } from '../domain/handler/contract';
import { type Config, ConfigError, type ServerConfig } from '../platform/config';
import { createOutboundClient, type OutboundClient } from '../platform/http/outbound';
import type { Lifecycle } from '../platform/lifecycle';
import type { RootLogger } from '../platform/logger';
import { createEventStore } from '../platform/postgres/event-store';
import type { EventAppender } from '../platform/postgres/job-events';
import { createDatabase, type PostgresDatabase } from '../platform/postgres/pool';
import type { Queryable } from '../platform/postgres/statement';
import { createRedis } from '../platform/redis/client';
import { createRealtimeLog } from '../platform/redis/realtime-log';
import { createExpressionSandbox, type ExpressionSandbox } from '../platform/sandbox/sandbox';
import { createParamsCipher } from '../platform/secrets/params-cipher';
import { createSecretBox } from '../platform/secrets/secret-box';
import { connectTemporal } from '../platform/temporal/connection';
import { createJobEngine } from '../platform/temporal/job-engine';
import { version } from '../../package.json';

/** What a role is given by `main`. */
export interface Setting<C extends Config> {
  config: C;
  log: RootLogger;
  lifecycle: Lifecycle;
}

const ENGINE_CALL_TIMEOUT_MS = 5_000;
/** Someone waits for a query's answer, and the rows know it almost as well. */
const ENGINE_QUERY_TIMEOUT_MS = 1_000;
const EXPRESSION_MEMORY_MB = 128;

export interface PoolWish {
  name: string;
  max: number;
  /** 0: none */
  statementTimeoutMs?: number;
}

export function openDatabase({ config, log, lifecycle }: Setting<Config>, wish: PoolWish): PostgresDatabase {
  const { name, ...limits } = wish;
  const database = createDatabase({
    ...limits,
    url: config.databaseUrl,
    applicationName: `millrace ${config.role} ${name}`,
    onIdleError: (err) => log.warn({ err, pool: name }, 'idle database connection lost'),
  });
  lifecycle.onClose(`database pool ${name}`, () => database.close());
  return database;
}

export function eventsOf(db: Queryable): EventAppender {
  const events = createEventStore(db);
  return { append: async (happened) => void (await events.append(happened)) };
}

export type Common = ReturnType<typeof openCommon>;

/** What API and worker both stand on. Nothing here waits for a server: the process starts while one is away. */
export function openCommon(setting: Setting<ServerConfig>) {
  const { config, log, lifecycle } = setting;
  const database = openDatabase(setting, { name: 'main', max: config.databaseConnectionsMax });
  const redis = createRedis({
    url: config.redisUrl,
    name: `millrace-${config.role}`,
    onDown: (err) => log.warn({ err }, 'redis is away'),
    onUp: () => log.info('redis is back'),
  });
  lifecycle.onClose('redis', () => redis.disconnect());
  const realtime = createRealtimeLog({
    redis,
    prefix: config.redisPrefix,
    onRefused: (publication, err) => log.error({ err, type: publication.type }, 'redis refused an event'),
  });
  const temporal = connectTemporal(config.temporal);
  lifecycle.onClose('temporal client', () => temporal.close());
  const engine = createJobEngine({
    client: temporal.client,
    connection: temporal.connection,
    within: temporal.within,
    namespace: config.temporal.namespace,
    callTimeoutMs: ENGINE_CALL_TIMEOUT_MS,
    queryTimeoutMs: ENGINE_QUERY_TIMEOUT_MS,
  });
  return { database, redis, realtime, temporal, engine, secretBox: createSecretBox(config.secretKeys) };
}

/** Where tenants' expressions run. */
export function openSandbox({ config, log, lifecycle }: Setting<ServerConfig>): ExpressionSandbox {
  const sandbox = createExpressionSandbox({
    threads: config.expressions.threads ?? Math.max(1, os.availableParallelism() - 1),
    memoryMb: EXPRESSION_MEMORY_MB,
    expressionTimeoutMs: config.expressions.timeoutMs,
    log,
  });
  lifecycle.onClose('expression sandbox', () => sandbox.close());
  return sandbox;
}

/** The way out to servers that tenants name. */
export function openOutbound({ config, lifecycle }: Setting<ServerConfig>): OutboundClient {
  const client = createOutboundClient({ opened: config.egressAllow, userAgent: `Millrace/${version}` });
  lifecycle.onClose('outbound http', () => client.close());
  return client;
}

/**
 * Built-in handlers and those of `MILLRACE_HANDLERS_DIR`, their secret params opened on the way in.
 * @throws ConfigError where the folder can't be read, Error that names the file which can't be loaded
 */
export async function openHandlers(setting: Setting<ServerConfig>): Promise<HandlerRegistry> {
  const { handlersDir, secretKeys } = setting.config;
  const own = handlersDir === undefined ? [] : await loadOwn(handlersDir);
  const builtIn = builtInHandlers({ evaluator: openSandbox(setting), http: openOutbound(setting) });
  const { openFor } = createParamsCipher(createSecretBox(secretKeys));
  return createHandlerRegistry([...builtIn, ...own].map((handler) => withOpenSecrets(handler, openFor)));
}

async function loadOwn(dir: string): Promise<Handler[]> {
  try {
    return await loadHandlers(dir);
  } catch (error) {
    const { syscall, code } = error as NodeJS.ErrnoException;
    if (syscall !== 'scandir') throw error;
    throw new ConfigError([`MILLRACE_HANDLERS_DIR: the folder ${dir} cannot be read (${code})`]);
  }
}
