import path from 'node:path';
import { launch } from '../process/child';
import { StartFailure } from '../process/failure';
import { waitUntilReady } from '../process/wait';
import { type CommandOptions, runCommand } from '../servers/command';
import type { Server } from '../servers/server';
import type { Addresses } from './addresses';
import type { Settings } from './settings';

/** Where the product's processes find what they need. */
export interface ProductPlace {
  readonly settings: Settings;
  readonly addresses: Addresses;
  readonly secretKeys: string;
  /** Aborted when the start is given up. */
  readonly signal: AbortSignal;
}

const readyMs = 60_000;
const commandMs = 10 * 60_000;
const gracefulMs = 30_000;
const probeMs = 2_000;

export function apiServer(place: ProductPlace): Server {
  return longRunning(place, { role: 'api', name: 'API', ready: () => answersReady(place) });
}

export function workerServer(place: ProductPlace): Server {
  return longRunning(place, { role: 'worker', name: 'Worker' });
}

/** Schema of the database and search attributes of Temporal; can be repeated. */
export async function migrate(place: ProductPlace): Promise<void> {
  const { ok, output } = await runCommand(process.execPath, [entry(place), 'migrate'], commandOptions(place));
  if (!ok) throw new StartFailure(`The migration failed:\n${lastPart(output)}`);
}

/** Makes the first tenant where there is none and answers its admin key; null when there is one already. */
export async function bootstrap(place: ProductPlace): Promise<string | null> {
  const args = [entry(place), 'admin', 'bootstrap'];
  const { ok, output } = await runCommand(process.execPath, args, commandOptions(place));
  if (!ok) throw new StartFailure(`The first tenant could not be made:\n${lastPart(output)}`);
  for (const line of output.split('\n').reverse()) {
    const answer = parseObject(line);
    if (!answer || 'level' in answer) continue;
    return typeof answer.admin_key === 'string' ? answer.admin_key : null;
  }
  throw new StartFailure(`\`admin bootstrap\` gave no answer:\n${lastPart(output)}`);
}

function longRunning(
  place: ProductPlace,
  part: { role: 'api' | 'worker'; name: string; ready?: () => Promise<boolean> },
): Server {
  let saidReady = false;
  return {
    name: part.name,
    stop: { signal: 'SIGTERM', graceMs: gracefulMs },
    launch: (record) => {
      saidReady = false;
      const child = launch(
        {
          name: part.name,
          command: process.execPath,
          args: [...nodeArgs(part.role), entry(place), part.role],
          env: environment(place),
          cwd: place.settings.root,
          logFile: path.join(place.settings.dataFolder, `logs/${part.role}.log`),
          ipc: true,
        },
        record,
      );
      child.process.on('message', (message: { type?: string }) => {
        if (message.type === 'ready') saidReady = true;
      });
      return child;
    },
    ready: async (child) => {
      await waitUntilReady(child, readyMs, async () => saidReady && (part.ready ? await part.ready() : true));
    },
  };
}

/** Requiring ES modules, which compiled code does, is announced as experimental by some versions. */
const nodeOptions = ['--disable-warning=ExperimentalWarning', '--enable-source-maps'];

const roleOptions = {
  // What is alive at any moment are the requests under way: in a small young generation they are most of it, and copied about.
  api: ['--max-semi-space-size=64'],
  // Rows pass through by the million: a small young generation keeps 80 MB less of them around, at no measurable cost.
  worker: ['--max-semi-space-size=4'],
};

/** What Node is told beside the program, for each role. */
export function nodeArgs(role: keyof typeof roleOptions): string[] {
  return [...nodeOptions, ...roleOptions[role]];
}

function entry({ settings }: ProductPlace): string {
  return path.join(settings.root, 'dist/src/main.js');
}

function environment({ settings, addresses, secretKeys }: ProductPlace): NodeJS.ProcessEnv {
  return {
    ...settings.env,
    NODE_ENV: settings.env.NODE_ENV || 'production',
    DATABASE_URL: addresses.databaseUrl,
    REDIS_URL: addresses.redisUrl,
    TEMPORAL_ADDRESS: addresses.temporalAddress,
    TEMPORAL_NAMESPACE: settings.env.TEMPORAL_NAMESPACE || 'default',
    ...(addresses.temporalUiUrl && { TEMPORAL_UI_URL: addresses.temporalUiUrl }),
    HOST: settings.host,
    PORT: String(addresses.apiPort),
    MILLRACE_PUBLIC_URL: settings.env.MILLRACE_PUBLIC_URL || addresses.apiUrl,
    MILLRACE_SECRET_KEYS: settings.env.MILLRACE_SECRET_KEYS || secretKeys,
    MILLRACE_DATA_DIR: settings.dataFolder,
  };
}

function commandOptions(place: ProductPlace): CommandOptions {
  return { timeoutMs: commandMs, env: environment(place), cwd: place.settings.root, signal: place.signal };
}

async function answersReady({ addresses }: ProductPlace): Promise<boolean> {
  const response = await fetch(`${addresses.apiUrl}/readyz`, { signal: AbortSignal.timeout(probeMs) });
  return response.ok;
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function lastPart(output: string): string {
  return output.split('\n').slice(-15).join('\n');
}
