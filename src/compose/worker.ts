/** The worker's half of the composition root: engine, sweep, relay and housekeeping of one process. */
import path from 'node:path';
import { DefaultLogger, NativeConnection, Runtime } from '@temporalio/worker';
import { createBatchControl } from '../activities/batch/control';
import { createControlWatch } from '../activities/batch/control-watch';
import { createIsolation } from '../activities/batch/isolation';
import { createProcessChunk } from '../activities/batch/process-chunk';
import { systemClock } from '../platform/clock';
import type { ServerConfig, WorkerConfig } from '../platform/config';
import type { Logger } from '../platform/logger';
import { createAccessLog } from '../platform/postgres/access-log';
import { createIdempotencyStore } from '../platform/postgres/idempotency-store';
import { createKeyStore } from '../platform/postgres/key-store';
import { createListener } from '../platform/postgres/listener';
import { createOutboxStore, createOutboxWake, OUTBOX_CHANNEL } from '../platform/postgres/outbox-store';
import { createRateStore } from '../platform/postgres/rate-store';
import { createRemainsStore } from '../platform/postgres/remains-store';
import { createRunStore } from '../platform/postgres/run-store';
import { createSweepStore } from '../platform/postgres/sweep-store';
import { createTicketStore } from '../platform/postgres/ticket-store';
import { createUsageFold } from '../platform/postgres/usage-fold';
import type { ProgressPublisher } from '../platform/redis/progress-publisher';
import { compiledScript } from '../platform/sandbox/script';
import { startFoldUsage } from '../workers/fold-usage';
import { startLoop } from '../workers/loop';
import { maintain } from '../workers/maintenance';
import { startPurge } from '../workers/purge';
import { startRelay } from '../workers/relay';
import { sweep } from '../workers/sweep';
import { startWatchdog } from '../workers/watchdog';
import { createWorkers, type Workers } from '../workers/worker';
import { openEvents } from './events';
import { openTellingChunks } from './items';
import { loanActivities } from './loans';
import { openNotifications } from './notifications';
import { type Common, eventsOf, openCommon, openHandlers, type Setting } from './parts';
import { openProgress } from './progress';
import { openRetention } from './retention';

const TIME_BOX_MS = 20_000;
const HEARTBEAT_MS = 1_000;
/** An operator's wish is seen within this and one query. */
const CONTROL_LOOK_MS = 1_000;
const SWEEP_MS = 2_000;
/** How long the sweep leaves a job in peace after a look. */
const RECHECK_MS = 6_000;
const MAINTENANCE_MS = 3_600_000;
const TEMPORAL_RETRY_MS = 1_000;

/** Runs jobs. Resolves when the workers poll; `ended` rejects when one of them breaks. */
export async function composeWorker(setting: Setting<WorkerConfig>): Promise<{ ended: Promise<void> }> {
  const { config, log, lifecycle } = setting;
  openWatchdog(setting);
  installRuntime(log);
  const common = openCommon(setting);
  const progress = openRealtime(setting, common);
  openHousekeeping(setting, common);
  openRetention(setting, common);
  openEvents(setting, common);

  const connection = await connectWorker(setting);
  lifecycle.onClose('temporal worker connection', () => connection.close());
  const handBack = new AbortController();
  const workers = await createWorkers({
    connection,
    namespace: config.temporal.namespace,
    workflows: { codePath: workflowBundlePath() },
    ...(await createActivities({ setting, common, progress, shutdown: handBack.signal })),
    chunkSlots: config.chunkSlots,
    shutdownGraceMs: config.shutdownGraceMs,
  });
  return { ended: runUntilClosed({ setting, workers, handBack }) };
}

/** First of all, so that it is closed last and also watches how handlers are loaded and work is ended. */
function openWatchdog({ config, log, lifecycle }: Setting<WorkerConfig>): void {
  const watchdog = startWatchdog({
    limitMs: config.frozenLimitMs,
    threadFile: compiledScript('watchdog-thread', path.join(__dirname, '../workers')),
    onError: (err) => log.error({ err }, 'nobody watches over the event loop any more'),
  });
  lifecycle.onClose('watchdog', () => watchdog.stop());
}

function runUntilClosed({ setting, workers, handBack }: Running): Promise<void> {
  const ended = workers.run();
  setting.lifecycle.onClose(
    'workers',
    async () => {
      // First, so that chunks come back by themselves instead of being cut.
      handBack.abort();
      workers.stop();
      await ended;
    },
    setting.config.shutdownGraceMs + TIME_BOX_MS,
  );
  setting.log.info('polling');
  return ended;
}

interface Running {
  setting: Setting<ServerConfig>;
  workers: Workers;
  handBack: AbortController;
}

interface Parts {
  setting: Setting<WorkerConfig>;
  common: Common;
  progress: ProgressPublisher;
  shutdown: AbortSignal;
}

async function createActivities({ setting, common, progress, shutdown }: Parts) {
  const { log, lifecycle } = setting;
  const { database } = common;
  const runs = createRunStore(database, eventsOf);
  const watch = createControlWatch({
    watch: runs.watch,
    intervalMs: CONTROL_LOOK_MS,
    onError: (err) => log.warn({ err }, 'the wishes for running jobs could not be read'),
  });
  lifecycle.onClose('control watch', () => watch.close());
  const handlers = await openHandlers(setting);
  return {
    loans: loanActivities(setting, { common, runs, handlers, timeBoxMs: TIME_BOX_MS }),
    control: createBatchControl({
      runs,
      progress,
      log,
      handlers,
      now: systemClock.now,
      wake: (ref) =>
        common.engine.wake(ref).catch((err: unknown) => log.warn({ err }, 'a waiting job was not woken')),
      onCommitted: createOutboxWake(database),
      heartbeatMs: HEARTBEAT_MS,
    }),
    chunks: {
      batchProcessChunk: createProcessChunk({
        chunks: openTellingChunks(setting, common),
        runs,
        rates: createRateStore(database),
        handlers,
        watch,
        isolation: createIsolation(),
        progress,
        log,
        shutdown,
        timeBoxMs: TIME_BOX_MS,
        heartbeatMs: HEARTBEAT_MS,
      }),
    },
  };
}

/** Relay and progress: what subscribers live on. */
function openRealtime(setting: Setting<ServerConfig>, common: Common): ProgressPublisher {
  const { config, log, lifecycle } = setting;
  const { database, realtime } = common;
  const notifier = openNotifications(setting, common);
  const relay = startRelay({
    outbox: createOutboxStore(database),
    publish: realtime.publish,
    onPassed: notifier.wake,
    log,
  });
  lifecycle.onClose('relay', () => relay.stop());
  const listener = createListener({
    url: config.databaseUrl,
    channel: OUTBOX_CHANNEL,
    applicationName: 'millrace relay',
    onNotify: relay.wake,
    onDown: (err) => log.warn({ err }, 'the relay hears no notifications and polls'),
  });
  lifecycle.onClose('relay listener', () => listener.close());
  return openProgress(setting, common);
}

function openHousekeeping({ log, lifecycle }: Setting<ServerConfig>, { database, engine }: Common): void {
  const store = createSweepStore(database);
  const onError = (err: unknown): void => log.warn({ err }, 'housekeeping failed and is tried again');
  const sweeping = startLoop({
    intervalMs: SWEEP_MS,
    step: () => sweep({ store, engine, clock: systemClock, log, recheckMs: RECHECK_MS }),
    onError,
  });
  lifecycle.onClose('sweep', () => sweeping.stop());
  const purging = startPurge({ remains: createRemainsStore(database), log, onError });
  lifecycle.onClose('purge', () => purging.stop());
  const folding = startFoldUsage({ usage: createUsageFold(database), onError });
  lifecycle.onClose('usage fold', () => folding.stop());
  const maintenance = startLoop({
    intervalMs: MAINTENANCE_MS,
    step: () =>
      maintain({
        partitions: store,
        idempotency: createIdempotencyStore(database),
        access: createAccessLog(database),
        keys: createKeyStore(database),
        tickets: createTicketStore(database),
        clock: systemClock,
        log,
      }),
    onError,
  });
  lifecycle.onClose('maintenance', () => maintenance.stop());
}

/** Waits for a Temporal that is away: a worker that ended instead would only be started again. */
async function connectWorker({ config, log, lifecycle }: Setting<ServerConfig>): Promise<NativeConnection> {
  for (let tries = 0; ; tries++) {
    try {
      return await NativeConnection.connect({ address: config.temporal.address });
    } catch (err) {
      if (lifecycle.closing) throw err;
      if (tries === 0) log.warn({ err }, 'Temporal is away; the worker waits for it');
      await new Promise((resolve) => setTimeout(resolve, TEMPORAL_RETRY_MS));
    }
  }
}

/** Signals are main's alone; the SDK's own words go into our log. */
function installRuntime(log: Logger): void {
  const write = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    // The queue of chunks has none, on purpose.
    if (!message.startsWith('No workflows registered')) log[write[level]]({ ...meta }, message);
  });
  Runtime.install({ shutdownSignals: [], logger });
}

/** What `npm run build` bundled: beside the compiled code, or below dist/ where the sources themselves run. */
function workflowBundlePath(): string {
  const root = path.resolve(__dirname, '../..');
  return path.join(path.basename(root) === 'dist' ? root : path.join(root, 'dist'), 'workflow-bundle.js');
}
