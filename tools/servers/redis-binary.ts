import { existsSync } from 'node:fs';
import { StartFailure } from '../process/failure';
import { type CommandOptions, findOnPath, runCommand } from './command';

/** How to call the server; `argv0` is the name it has to see as its own. */
export interface RedisBinary {
  readonly command: string;
  readonly argv0: string;
}

export interface RedisSearch {
  readonly env: NodeJS.ProcessEnv;
  /** Whether this process may install for the whole machine. */
  readonly isRoot: boolean;
  /** Told what is being done, for the display. */
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

interface PackageManager {
  readonly command: string;
  readonly needsRoot: boolean;
  /** Tried in order until a server is found. */
  readonly steps: readonly (readonly string[])[];
}

const probeMs = 10_000;
const installMs = 10 * 60_000;

/**
 * Debian's redis-server package starts a system service on port 6379 when installed and at each boot; redis-tools
 * has the same program (under its name `redis-check-rdb`, to which redis-server is a link) and no service.
 */
const managers: readonly PackageManager[] = [
  {
    command: 'apt-get',
    needsRoot: true,
    steps: [
      ['update'],
      ['install', '-y', '--no-install-recommends', 'redis-tools'],
      ['install', '-y', '--no-install-recommends', 'redis-server'],
    ],
  },
  {
    command: 'apk',
    needsRoot: true,
    steps: [
      ['add', '--no-cache', 'redis'],
      ['add', '--no-cache', 'valkey'],
    ],
  },
  {
    command: 'dnf',
    needsRoot: true,
    steps: [
      ['install', '-y', 'redis'],
      ['install', '-y', 'valkey'],
    ],
  },
  { command: 'brew', needsRoot: false, steps: [['install', 'redis']] },
];

const candidates: readonly { readonly file: string; readonly argv0: string }[] = [
  { file: 'redis-server', argv0: 'redis-server' },
  { file: 'valkey-server', argv0: 'valkey-server' },
  { file: 'redis-check-rdb', argv0: 'redis-server' },
  { file: 'valkey-check-rdb', argv0: 'valkey-server' },
];

/** A Redis or Valkey server of this machine, installed by its package manager where that is allowed. */
export async function findRedis(search: RedisSearch): Promise<RedisBinary> {
  return (await findInstalled(search.env)) ?? (await install(search));
}

async function findInstalled(env: NodeJS.ProcessEnv): Promise<RedisBinary | null> {
  for (const { file, argv0 } of candidates) {
    const command = findOnPath(file, env.PATH);
    if (!command) continue;
    const { ok, output } = await runCommand(command, ['--version'], { timeoutMs: probeMs, argv0 });
    if (ok && /server v/i.test(output)) return { command, argv0 };
  }
  return null;
}

async function install(search: RedisSearch): Promise<RedisBinary> {
  const manager = managers.find(({ command }) => findOnPath(command, search.env.PATH));
  const program = manager && findOnPath(manager.command, search.env.PATH);
  if (!program || (manager.needsRoot && !search.isRoot)) throw notInstalled(manager);
  let output = '';
  for (const step of manager.steps) {
    search.onProgress(`${manager.command} ${step.join(' ')}`);
    const result = await runCommand(program, step, installOptions(search));
    output = result.output;
    const found = step[0] === 'update' ? null : await findInstalled(search.env);
    if (found) return found;
  }
  throw new StartFailure(`${notInstalled(manager).message}\n${output.split('\n').slice(-5).join('\n')}`);
}

function installOptions(search: RedisSearch): CommandOptions {
  return {
    timeoutMs: installMs,
    env: { ...search.env, DEBIAN_FRONTEND: 'noninteractive' },
    ...(search.signal && { signal: search.signal }),
  };
}

function notInstalled(manager: PackageManager | undefined): StartFailure {
  const name = manager?.command === 'apt-get' ? 'redis-server' : 'redis';
  const sudo = manager?.needsRoot && existsSync('/usr/bin/sudo') ? 'sudo ' : '';
  const how = manager
    ? `${sudo}${manager.command} ${manager.command === 'apk' ? 'add' : 'install'} ${name}`
    : '';
  return new StartFailure(
    `Redis is missing: ${how ? `run \`${how}\`` : 'install redis-server or valkey-server'}, or set REDIS_URL`,
  );
}
