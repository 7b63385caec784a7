import { findOnPath, runCommand } from './command';
import { installProgram, type PackageManager, type ProgramSearch } from './package-manager';

/** How to call the server; `argv0` is the name it has to see as its own. */
export interface RedisBinary {
  readonly command: string;
  readonly argv0: string;
}

const probeMs = 10_000;

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
    byHand: 'apt-get install redis-server',
  },
  {
    command: 'apk',
    needsRoot: true,
    steps: [
      ['add', '--no-cache', 'redis'],
      ['add', '--no-cache', 'valkey'],
    ],
    byHand: 'apk add redis',
  },
  {
    command: 'dnf',
    needsRoot: true,
    steps: [
      ['install', '-y', 'redis'],
      ['install', '-y', 'valkey'],
    ],
    byHand: 'dnf install redis',
  },
  { command: 'brew', needsRoot: false, steps: [['install', 'redis']], byHand: 'brew install redis' },
];

const candidates: readonly { readonly file: string; readonly argv0: string }[] = [
  { file: 'redis-server', argv0: 'redis-server' },
  { file: 'valkey-server', argv0: 'valkey-server' },
  { file: 'redis-check-rdb', argv0: 'redis-server' },
  { file: 'valkey-check-rdb', argv0: 'valkey-server' },
];

/** A Redis or Valkey server of this machine, installed by its package manager where that is allowed. */
export async function findRedis(search: ProgramSearch): Promise<RedisBinary> {
  const find = (): Promise<RedisBinary | null> => findInstalled(search.env);
  const wanted = {
    name: 'Redis',
    managers,
    find,
    otherwise: 'install redis-server or valkey-server',
    instead: 'set REDIS_URL',
  };
  return (await find()) ?? (await installProgram(search, wanted));
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
