/**
 * Composition root: configuration to adapters to layers, one function per role. With the files of `compose/` it is the only
 * place that knows both sides of every port; what is opened is closed by the lifecycle, in reverse order.
 */
import type { AdminCommands } from './admin';
import { createApp } from './api/app';
import { issueKey } from './api/key/issue-key';
import { createRoutes } from './api/routes';
import { createApiServer } from './api/server';
import { batchDeps, healthChecks, openRealtime } from './compose/api-routes';
import { chunkDeps } from './compose/chunk-routes';
import { openCommon, openDatabase, openHandlers, type Setting } from './compose/parts';
import { AppError } from './domain/errors';
import { FIRST_PLAN } from './domain/key/plans';
import { newId, systemClock } from './platform/clock';
import type { ApiConfig, Config, MigrateConfig } from './platform/config';
import { createMetrics } from './platform/metrics';
import { migrate } from './platform/postgres/migrate';
import { createOutboxWake } from './platform/postgres/outbox-store';
import { createStores, createTransact, type TransactStores } from './platform/postgres/stores';
import { createKeyMint } from './platform/secrets/key-mint';
import { prepareNamespace } from './platform/temporal/namespace';
import { version } from '../package.json';

/** Beyond the drain's own grace: connections that were cut still have to end. */
const DRAIN_MARGIN_MS = 2_000;

/** Serves the API. Resolves when it listens; dependencies that are away show in /readyz. */
export async function composeApi(setting: Setting<ApiConfig>): Promise<{ port: number }> {
  const { config, log, lifecycle } = setting;
  const common = openCommon(setting);
  const { database, secretBox } = common;
  const stores = createStores(database);
  const metrics = createMetrics(config.role);
  const mint = createKeyMint();
  const newRequestId = (): string => newId('request');
  const handlers = await openHandlers(setting);
  const realtime = openRealtime(setting, common, stores);
  const routes = createRoutes({
    version,
    batch: batchDeps(setting, { ...common, stores, handlers }),
    chunks: chunkDeps(setting, { common, handlers }),
    events: realtime,
    handlers: { handlers },
    keys: { keys: stores.keys, mint, newKeyId: () => newId('key'), now: systemClock.now },
    tenants: { tenants: stores.tenants, newTenantId: () => newId('tenant') },
    health: { checks: healthChecks(common), isDraining: () => lifecycle.closing, metrics, log },
  });
  const app = createApp({
    routes,
    log,
    newRequestId,
    observeRequest: metrics.observeRequest,
    keys: stores.keys,
    hashKey: mint.hash,
    now: systemClock.now,
    idempotency: stores.idempotency,
    transact: waking(createTransact(database), createOutboxWake(database)),
    secretBox,
  });
  const respond = app.callback();
  const server = createApiServer({ listener: (req, res) => void respond(req, res), newRequestId });
  const { shutdownGraceMs } = config;
  lifecycle.onClose('http server', () => server.drain(shutdownGraceMs), shutdownGraceMs + DRAIN_MARGIN_MS);
  lifecycle.onClose('event streams', () => realtime.drain());
  const { port } = await server.listen({ host: config.host, port: config.port });
  log.info({ host: config.host, port }, 'listening');
  return { port };
}

/** Relays look at once, where a transaction may have written an event. */
function waking(transact: TransactStores, wake: () => void): TransactStores {
  return async (work) => {
    const result = await transact(work);
    wake();
    return result;
  };
}

/** Brings database and Temporal to what this version needs; several at once wait for one another. */
export async function composeMigrate({ config, log }: Setting<MigrateConfig>): Promise<void> {
  await migrate({ databaseUrl: config.databaseUrl, log });
  await prepareNamespace(config.temporal);
  log.info('migrations are up to date');
}

const FIRST_TENANT = { name: 'default', plan: FIRST_PLAN };

export function composeAdmin(setting: Setting<Config>): AdminCommands {
  const transact = createTransact(openDatabase(setting, { name: 'main', max: 1 }));
  const mint = createKeyMint();
  const newKeyId = (): string => newId('key');
  return {
    bootstrap: () =>
      transact(async ({ tenants, keys }) => {
        if (!(await tenants.lockWhileNone())) return {};
        const tenant = await tenants.insert({ id: newId('tenant'), ...FIRST_TENANT });
        const first = { name: 'first admin key', scopes: ['admin'], expiresAt: null } as const;
        const { secret } = await issueKey({ keys, mint, newKeyId }, { tenantId: tenant.id, ...first });
        return { tenant_id: tenant.id, admin_key: secret };
      }),
    createKey: (wish) =>
      transact(async ({ tenants, keys }) => {
        const tenant = await tenants.find(wish.tenantId);
        if (tenant === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
        const { key, secret } = await issueKey({ keys, mint, newKeyId }, wish);
        return { key_id: key.id, key: secret };
      }),
  };
}
