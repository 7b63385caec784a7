import net from 'node:net';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { becomesTrue } from '../process/wait';
import { createPostgres, databaseAnswers, ensureDatabase, postgresUrl } from '../servers/postgres';
import { createRedis, redisAnswers, redisUrl } from '../servers/redis';
import { findRedis } from '../servers/redis-binary';
import { createTemporal } from '../servers/temporal';
import { findTemporal } from '../servers/temporal-binary';
import { withoutPassword } from './addresses';
import type { Ports } from './port-book';
import type { Secrets } from './secrets';
import type { Settings } from './settings';
import type { Supervisor } from './supervisor';

/** What bringing up a server needs. */
export interface PartContext {
  readonly settings: Settings;
  readonly ports: Ports;
  readonly secrets: Secrets;
  readonly supervisor: Supervisor;
  /** Aborted when the start is given up. */
  readonly signal: AbortSignal;
}

type Progress = (text: string) => void;

const externalMs = 15_000;
const connectMs = 2_000;
const database = 'millrace';

/** Brings up PostgreSQL, or makes sure that the given one answers; resolves with the database's URL. */
export async function bringUpPostgres(context: PartContext, onProgress: Progress): Promise<string> {
  const { settings, secrets, supervisor } = context;
  if (settings.databaseUrl !== null) {
    onProgress(`asking ${withoutPassword(settings.databaseUrl)}`);
    if (await databaseAnswers(settings.databaseUrl, externalMs)) return settings.databaseUrl;
    throw new StartFailure(
      `No PostgreSQL answers at DATABASE_URL (${withoutPassword(settings.databaseUrl)})`,
    );
  }
  const options = {
    root: settings.root,
    dataFolder: settings.dataFolder,
    port: context.ports.of.postgres,
    password: secrets.postgresPassword,
    logFile: logFile(settings, 'postgres'),
    signal: context.signal,
  };
  await supervisor.start('postgres', await createPostgres(options));
  await ensureDatabase(postgresUrl(options, 'postgres'), database);
  return postgresUrl(options, database);
}

/** Brings up Redis, or makes sure that the given one answers; resolves with its URL. */
export async function bringUpRedis(context: PartContext, onProgress: Progress): Promise<string> {
  const { settings, secrets, supervisor, signal } = context;
  if (settings.redisUrl !== null) {
    onProgress(`asking ${withoutPassword(settings.redisUrl)}`);
    if (await redisAnswers(settings.redisUrl, externalMs)) return settings.redisUrl;
    throw new StartFailure(`No Redis answers at REDIS_URL (${withoutPassword(settings.redisUrl)})`);
  }
  const isRoot = process.getuid?.() === 0;
  const options = {
    binary: await findRedis({ env: settings.env, isRoot, onProgress, signal }),
    dataFolder: settings.dataFolder,
    port: context.ports.of.redis,
    password: secrets.redisPassword,
    logFile: logFile(settings, 'redis'),
  };
  await supervisor.start('redis', createRedis(options));
  return redisUrl(options);
}

/** Brings up the Temporal dev server with its UI, or makes sure that somebody listens at the given address. */
export async function bringUpTemporal(
  context: PartContext,
  onProgress: Progress,
): Promise<{ address: string; uiUrl: string | null }> {
  const { settings, supervisor, signal } = context;
  const { temporalAddress, temporalUiUrl } = settings;
  if (temporalAddress !== null) {
    onProgress(`asking ${temporalAddress}`);
    if (await becomesTrue(externalMs, () => listens(temporalAddress))) {
      return { address: temporalAddress, uiUrl: temporalUiUrl };
    }
    throw new StartFailure(`No Temporal server listens at TEMPORAL_ADDRESS (${temporalAddress})`);
  }
  const binary = await findTemporal({ root: settings.root, env: settings.env, onProgress, signal });
  const port = context.ports.of.temporal;
  const uiPort = context.ports.of.temporal_ui;
  const server = createTemporal({
    binary,
    dataFolder: settings.dataFolder,
    port,
    uiPort,
    logFile: logFile(settings, 'temporal'),
  });
  await supervisor.start('temporal', server);
  return { address: `127.0.0.1:${port}`, uiUrl: `http://127.0.0.1:${uiPort}` };
}

function logFile({ dataFolder }: Settings, name: string): string {
  return path.join(dataFolder, `logs/${name}.log`);
}

async function listens(address: string): Promise<boolean> {
  const { hostname, port } = new URL(`tcp://${address}`);
  return new Promise((resolve) => {
    const socket = net.connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) });
    const finish = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(connectMs, () => {
      finish(false);
    });
    socket.once('connect', () => {
      finish(true);
    });
    socket.once('error', () => {
      finish(false);
    });
  });
}
