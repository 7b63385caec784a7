import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Which program a pid was, recorded so that a pid that now belongs to another program is never signalled. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When the process started, in a form that also differs between two boots of the machine. */
  readonly startedAt: string;
  /** Base name of the program, such as `redis-server`. */
  readonly program: string;
}

/** The identity of a living process; null when there is none with this pid (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | null {
  return process.platform === 'linux' ? identifyByProc(pid) : identifyByPs(pid);
}

/** Whether the process recorded earlier still lives under its pid. */
export function isAlive(recorded: ProcessIdentity): boolean {
  const found = identify(recorded.pid);
  return found !== null && found.startedAt === recorded.startedAt && found.program === recorded.program;
}

function identifyByProc(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return null;
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    return { pid, startedAt: `${bootId}/${fields[19]}`, program: programOf(commandLine) };
  } catch {
    return null;
  }
}

function identifyByPs(pid: number): ProcessIdentity | null {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=,command=', '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const match = /^(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.+)$/.exec(line);
    if (!match?.[1] || !match[2] || !match[3] || match[1].startsWith('Z')) return null;
    return { pid, startedAt: match[2], program: programOf(match[3]) };
  } catch {
    return null;
  }
}

/**
 * Only the program's name is compared, not its arguments: Redis and npm rewrite theirs while they run
 * (`redis-server 127.0.0.1:6379`).
 */
function programOf(commandLine: string): string {
  return path.basename(commandLine.split(/[\0 ]/, 1)[0] ?? '').replace(/:$/, '');
}

/** The arguments of a living process on Linux, elsewhere its command line in one piece; empty when there is none. */
export function argumentsOf(pid: number): string[] {
  try {
    if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return [execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim()];
  } catch {
    return [];
  }
}

/** The parent's pid of a living process, on Linux and macOS; null when unknown. */
export function parentOf(pid: number): number | null {
  try {
    const output = execFileSync('ps', ['-o', 'ppid=', '-p', String(pid)], { encoding: 'utf8' });
    return Number(output.trim()) || null;
  } catch {
    return null;
  }
}
