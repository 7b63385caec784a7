import { chmodSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Child, launch } from '../../tools/process/child';
import { StartFailure } from '../../tools/process/failure';
import { readJson } from '../../tools/process/json-file';
import { stopChild } from '../../tools/process/stop';
import { waitUntilReady } from '../../tools/process/wait';
import { removeDataFolder } from '../../tools/servers/postgres-cluster';
import { type DevFacts, devJsonFile } from '../../tools/start/dev-json';

export interface MillraceCopyOptions {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  /** Empty; keeps all its data. */
  readonly folder: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** Millrace as `npm start` runs it, in a data folder of its own. */
export interface MillraceCopy {
  readonly folder: string;
  /** Resolves when it serves. */
  readonly ready: Promise<DevFacts>;
  /** Throws when a part of what `ready` told of has died: it was started anew, and the figures are of no worth. */
  assertUndisturbed(facts: DevFacts): void;
  stop(): Promise<void>;
}

/** Temporal's server may have to be built first. */
const readyMs = 20 * 60_000;
const stopMs = 60_000;
/** Variables that would lead it to other servers, or make it another Millrace than the default one. */
const foreign = /^(MILLRACE_|DATABASE_|REDIS_URL$|TEMPORAL_|PORT$|HOST$|LOG_LEVEL$|NODE_ENV$|NODE_OPTIONS$)/;

export function startMillrace(options: MillraceCopyOptions): MillraceCopy {
  const child = launch(
    {
      name: 'Millrace',
      command: process.execPath,
      args: ['tools/start.mjs'],
      cwd: options.root,
      env: environment(options),
      logFile: path.join(options.folder, 'logs/start.log'),
    },
    () => undefined,
  );
  const stop = async (): Promise<void> => {
    await stopChild(child, { signal: 'SIGTERM', graceMs: stopMs });
  };
  return {
    folder: options.folder,
    ready: becomesReady(child, options.folder),
    assertUndisturbed: ({ pids }) => {
      if (isDeepStrictEqual(factsOf(options.folder)?.pids, pids)) return;
      throw new StartFailure('A part of Millrace died during the bench', child.logFile);
    },
    stop,
  };
}

/** The facts are there exactly while it serves. */
async function becomesReady(child: Child, folder: string): Promise<DevFacts> {
  await waitUntilReady(child, readyMs, () => factsOf(folder) !== null);
  return factsOf(folder) as DevFacts;
}

function factsOf(folder: string): DevFacts | null {
  return readJson(devJsonFile(folder)) as DevFacts | null;
}

function environment({ env, folder, variables }: MillraceCopyOptions): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !foreign.test(name));
  return {
    ...Object.fromEntries(kept),
    MILLRACE_DATA_DIR: folder,
    PORT: '0',
    MILLRACE_TEMPORAL_UI_PORT: '0',
    // Started by npm, as this says, the launcher ends with its parent: no kill of the bench leaves servers behind.
    npm_lifecycle_event: 'start',
    ...variables,
  };
}

/** A data folder of its own; as root others may pass through it, for PostgreSQL runs as another user. */
export function makeBenchFolder(parent: string): string {
  const folder = mkdtempSync(path.join(parent, 'millrace-bench-'));
  if (process.getuid?.() === 0) chmodSync(folder, 0o711);
  return folder;
}

export function removeBenchFolder(folder: string): void {
  removeDataFolder(folder);
}
