import { existsSync } from 'node:fs';
import { StartFailure } from '../process/failure';
import { findOnPath, runCommand } from './command';

/** What a search for a program of this machine may do. */
export interface ProgramSearch {
  readonly env: NodeJS.ProcessEnv;
  /** Whether this process may install for the whole machine. */
  readonly isRoot: boolean;
  /** Told what is being done, for the display. */
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

export interface PackageManager {
  readonly command: string;
  readonly needsRoot: boolean;
  /** Tried in order until the program is found. */
  readonly steps: readonly (readonly string[])[];
  /** How a person would do it. */
  readonly byHand: string;
}

export interface WantedProgram<T> {
  /** for the message, e.g. `Redis` */
  readonly name: string;
  readonly managers: readonly PackageManager[];
  readonly find: () => Promise<T | null>;
  /** what to do where no known package manager is there, e.g. `install redis-server` */
  readonly otherwise: string;
  /** the way without it, e.g. `set REDIS_URL` */
  readonly instead: string;
}

const installMs = 10 * 60_000;

/** By the first package manager that this machine has. Fails with what a person could do. */
export async function installProgram<T>(search: ProgramSearch, wanted: WantedProgram<T>): Promise<T> {
  const manager = wanted.managers.find(({ command }) => findOnPath(command, search.env.PATH));
  const program = manager && findOnPath(manager.command, search.env.PATH);
  const missing = missingMessage(wanted, manager);
  if (!program || (manager.needsRoot && !search.isRoot)) throw new StartFailure(missing);
  let output = '';
  for (const step of manager.steps) {
    search.onProgress(`${manager.command} ${step.join(' ')}`);
    const result = await runCommand(program, step, {
      timeoutMs: installMs,
      env: { ...search.env, DEBIAN_FRONTEND: 'noninteractive' },
      ...(search.signal && { signal: search.signal }),
    });
    output = result.output;
    const found = step[0] === 'update' ? null : await wanted.find();
    if (found !== null) return found;
  }
  throw new StartFailure(`${missing}\n${output.split('\n').slice(-5).join('\n')}`);
}

function missingMessage(
  { name, otherwise, instead }: Pick<WantedProgram<unknown>, 'name' | 'otherwise' | 'instead'>,
  manager: PackageManager | undefined,
): string {
  const sudo = manager?.needsRoot && existsSync('/usr/bin/sudo') ? 'sudo ' : '';
  const how = manager ? `run \`${sudo}${manager.byHand}\`` : otherwise;
  return `${name} is missing: ${how}, or ${instead}`;
}
