import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type ProcessIdentity, isAlive } from '../../tools/process/identity';
import type { DevFacts } from '../../tools/start/dev-json';
import { testServers } from './servers';

export const checkout = path.resolve(__dirname, '../..');

export interface LaunchOptions {
  readonly dataFolder: string;
  /** Default: this checkout. */
  readonly root?: string;
  /** Default: node tools/start.mjs. */
  readonly command?: readonly [string, ...string[]];
  readonly env?: NodeJS.ProcessEnv;
  readonly owner?: { readonly uid: number; readonly gid: number };
}

/** A copy of Millrace started as a person would, with all its servers. */
export interface Launched {
  readonly dataFolder: string;
  readonly process: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** Resolves with dev.json when it is ready; rejects with the output when it ends before. */
  ready(): Promise<DevFacts>;
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
}

/** Starts a copy on free ports; the variables that would point it to other servers are taken away. */
export function launchMillrace(options: LaunchOptions): Launched {
  const [command, ...args] = options.command ?? [process.execPath, 'tools/start.mjs'];
  let output = '';
  // A killed run leaves its dev.json; only one of another time is this run's.
  const stale = writtenAt(options.dataFolder);
  const child = spawn(command, args, {
    cwd: options.root ?? checkout,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: environment(options),
    ...options.owner,
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const ended = new Promise<number | string | null>((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? signal);
    });
  });
  return {
    dataFolder: options.dataFolder,
    process: child,
    output: () => output,
    ended,
    ready: async () => {
      const isNew = (): boolean => ![null, stale].includes(writtenAt(options.dataFolder));
      await eventually('a new dev.json', () => isNew() || child.exitCode !== null);
      const facts = isNew() ? devFacts(options.dataFolder) : null;
      if (!facts) throw new Error(`ended before it was ready:\n${output}`);
      return facts;
    },
  };
}

function environment({ dataFolder, env }: LaunchOptions): NodeJS.ProcessEnv {
  const inherited = { ...process.env };
  for (const name of Object.keys(inherited)) {
    if (/^(npm_|MILLRACE_|DATABASE_|REDIS_URL|TEMPORAL_|PORT$|HOST$|NODE_ENV$)/.test(name))
      delete inherited[name];
  }
  const temporalFolder = path.dirname(testServers().temporalBinary);
  return {
    ...inherited,
    PATH: `${temporalFolder}${path.delimiter}${process.env.PATH ?? ''}`,
    MILLRACE_DATA_DIR: dataFolder,
    PORT: '0',
    MILLRACE_TEMPORAL_UI_PORT: '0',
    ...env,
  };
}

function writtenAt(dataFolder: string): number | null {
  return statSync(path.join(dataFolder, 'dev.json'), { throwIfNoEntry: false })?.mtimeMs ?? null;
}

export function devFacts(dataFolder: string): DevFacts | null {
  const file = path.join(dataFolder, 'dev.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as DevFacts) : null;
}

/** The children that a data folder's run.json names. */
export function recordedChildren(dataFolder: string): Map<string, ProcessIdentity> {
  const file = path.join(dataFolder, 'run.json');
  if (!existsSync(file)) return new Map();
  const { children } = JSON.parse(readFileSync(file, 'utf8')) as {
    children: Record<string, ProcessIdentity>;
  };
  return new Map(Object.entries(children));
}

/** Ends what a test left running; only what still is what was recorded. */
export function killRecorded(dataFolder: string): void {
  for (const identity of recordedChildren(dataFolder).values()) {
    if (isAlive(identity)) process.kill(identity.pid, 'SIGKILL');
  }
}

/** Polls for a fact; fails naming it after 45 s. */
export async function eventually(fact: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 45_000;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`never came true: ${fact}`);
    await delay(50);
  }
}

/** The host:port pairs a running copy listens on. */
export function listenersOf(facts: DevFacts): string[] {
  const urls = [facts.api_url, facts.temporal_ui_url, facts.database_url, facts.redis_url];
  return [...urls.flatMap((url) => (url ? [new URL(url).host] : [])), facts.temporal_address];
}

export async function isListening(address: string): Promise<boolean> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = net.connect({ host: host ?? '', port: Number(port) });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}
