/**
 * Composition root: configuration to adapters to layers, one function per role. With the files of `compose/` it is the only
 * place that knows both sides of every port; what is opened is closed by the lifecycle, in reverse order.
 */
import type { RequestListener } from 'node:http';
import { createClientAddress } from './api/access/client-address';
import { createApp } from './api/app';
import type { RequestLimiter } from './api/limits/ports';
import { createRoutes } from './api/routes';
import { createApiServer } from './api/server';
import { type MayUpgrade, upgradesOf } from './api/upgrade';
import { openAccess } from './compose/access';
import { openAdmission } from './compose/admission';
import { batchDeps, healthChecks } from './compose/api-routes';
import { chunkDeps } from './compose/chunk-routes';
import { eventDeps } from './compose/events';
import { openItemWatch } from './compose/items';
import { openLimits } from './compose/limits';
import { type Common, openCommon, openHandlers, type Setting } from './compose/parts';
import { openRealtime } from './compose/realtime';
import { openRequestMeter, openRequestQuota } from './compose/usage';
import { newId, systemClock } from './platform/clock';
import type { ApiConfig, MigrateConfig } from './platform/config';
import { createMetrics } from './platform/metrics';
import { migrate } from './platform/postgres/migrate';
import { createOutboxWake } from './platform/postgres/outbox-store';
import { createJobReader, type JobReader } from './platform/postgres/job-reader';
import {
  createStores,
  createTransact,
  type PostgresStores,
  type TransactStores,
} from './platform/postgres/stores';
import { createUsageReads } from './platform/postgres/usage-store';
import { createRequestIds } from './platform/request-ids';
import { createKeyMint, type KeyMint } from './platform/secrets/key-mint';
import { prepareNamespace } from './platform/temporal/namespace';
import { version } from '../package.json';

/** Beyond the drain's own grace: connections that were cut still have to end. */
const DRAIN_MARGIN_MS = 2_000;

/** Serves the API. Resolves when it listens; dependencies that are away show in /readyz. */
export async function composeApi(setting: Setting<ApiConfig>): Promise<{ port: number }> {
  const { config, log, lifecycle } = setting;
  const common = openCommon(setting);
  const { database, secretBox } = common;
  const stores = readingTogether(createStores(database), createJobReader(database));
  const metrics = createMetrics(config.role);
  const mint = createKeyMint();
  const newRequestId = createRequestIds(Date.now);
  const handlers = await openHandlers(setting);
  const limits = await openLimits(setting, common);
  const access = openAccess(setting, common);
  const admission = openAdmission(setting, { common, access, limits, metrics: metrics.streams });
  const items = openItemWatch(setting, common);
  const realtime = openRealtime(setting, { common, stores, metrics: metrics.streams, items });
  const meter = openRequestMeter(setting, common, limits.instanceId);
  const routes = createRoutes({
    version,
    batch: batchDeps(setting, { ...common, stores, handlers, latestCursor: () => realtime.latest.get() }),
    chunks: chunkDeps(setting, { common, handlers }),
    realtime: { ...realtime, admission },
    events: eventDeps(setting, common),
    handlers: { handlers },
    ...rowDeps(common, { stores, mint, limiter: limits.limiter }),
    health: { checks: healthChecks(common), isDraining: () => lifecycle.closing, metrics, log },
  });
  const app = createApp({
    routes,
    log,
    newRequestId,
    observeRequest: metrics.observeRequest,
    countRequest: meter.count,
    limiter: limits.limiter,
    onRequestsUsed: openRequestQuota(setting, common, limits.limiter),
    chance: Math.random,
    failures: limits.failures,
    clientAddress: createClientAddress(config.trustedProxies),
    keys: access.keys,
    tickets: stores.tickets,
    hashKey: mint.hashText,
    idempotency: stores.idempotency,
    transact: waking(createTransact(database), createOutboxWake(database)),
    secretBox,
  });
  const mayUpgrade = upgradesOf(routes);
  return serve(setting, { app, newRequestId, mayUpgrade, endStreams: () => realtime.drain() });
}

interface Rows {
  stores: PostgresStores;
  mint: KeyMint;
  limiter: RequestLimiter;
}

/** Of routes for what stands in rows and does nothing by itself. */
function rowDeps({ database }: Pick<Common, 'database'>, { stores, mint, limiter }: Rows) {
  const { now } = systemClock;
  return {
    broadcasts: { broadcasts: stores.broadcasts, newBroadcastId: () => newId('broadcast') },
    keys: { ...stores, mint, newKeyId: () => newId('key'), now },
    notifications: { ...stores, newRuleId: () => newId('notificationRule') },
    plans: { plans: stores.plans },
    tenants: { tenants: stores.tenants, newTenantId: () => newId('tenant'), now },
    tickets: { mint, newTicketId: () => newId('ticket') },
    usage: { usage: createUsageReads(database), limiter, keys: stores.keys, now },
  };
}

interface Served {
  app: ReturnType<typeof createApp>;
  newRequestId(): string;
  mayUpgrade: MayUpgrade;
  endStreams(): void;
}

async function serve(
  { config, log, lifecycle }: Setting<ApiConfig>,
  { app, newRequestId, mayUpgrade, endStreams }: Served,
): Promise<{ port: number }> {
  const respond = app.callback();
  const listener: RequestListener = (req, res) => void respond(req, res);
  const server = createApiServer({ listener, newRequestId, mayUpgrade });
  const { shutdownGraceMs } = config;
  lifecycle.onClose('http server', () => server.drain(shutdownGraceMs), shutdownGraceMs + DRAIN_MARGIN_MS);
  lifecycle.onClose('event streams', endStreams);
  const { port } = await server.listen({ host: config.host, port: config.port });
  log.info({ host: config.host, port }, 'listening');
  return { port };
}

function readingTogether(stores: PostgresStores, { find }: JobReader): PostgresStores {
  return { ...stores, jobs: { ...stores.jobs, find } };
}

/** Relays look at once, where a transaction may have written an event; also one that failed may have been worth one. */
function waking(transact: TransactStores, wake: () => void): TransactStores {
  return async (work) => {
    try {
      return await transact(work);
    } finally {
      wake();
    }
  };
}

/** Brings database and Temporal to what this version needs; several at once wait for one another. */
export async function composeMigrate({ config, log }: Setting<MigrateConfig>): Promise<void> {
  await migrate({ databaseUrl: config.databaseUrl, log });
  await prepareNamespace(config.temporal);
  log.info('migrations are up to date');
}
