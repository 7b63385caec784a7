import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';

export interface CommandResult {
  readonly ok: boolean;
  /** What it wrote to both outputs, at most the last 64 KB. */
  readonly output: string;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly argv0?: string;
  readonly owner?: { readonly uid: number; readonly gid: number } | null;
  /** Called with each line as it comes, to show progress. */
  readonly onLine?: (line: string) => void;
  /** Ends the command early. */
  readonly signal?: AbortSignal;
}

const outputCharactersMax = 64 * 1024;

/** Runs a command to its end; never rejects: what can't be run is not `ok` and says why in `output`. */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, args, {
      cwd: options.cwd ?? '/',
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Ctrl-C in the terminal is for the launcher alone; it ends the command by `signal`.
      detached: true,
      ...(options.owner && { uid: options.owner.uid, gid: options.owner.gid }),
      ...(options.argv0 && { argv0: options.argv0 }),
    });
    const collect = (chunk: Buffer): void => {
      const text = chunk.toString('utf8');
      output = (output + text).slice(-outputCharactersMax);
      for (const line of text.split('\n')) if (line.trim()) options.onLine?.(line.trim());
    };
    const endGroup = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The group has ended by itself.
      }
    };
    const timer = setTimeout(endGroup, options.timeoutMs);
    options.signal?.addEventListener('abort', endGroup);
    if (options.signal?.aborted) endGroup();
    const finish = (ok: boolean, reason: string): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', endGroup);
      resolve({ ok, output: `${output}${reason}`.trim() });
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => {
      finish(false, error.message);
    });
    child.once('close', (code, signal) => {
      finish(code === 0, code === 0 ? '' : `\n(${signal ?? `exit code ${code}`})`);
    });
  });
}

/** Absolute path of an executable on PATH, or null. */
export function findOnPath(name: string, searchPath: string = process.env.PATH ?? ''): string | null {
  for (const folder of searchPath.split(path.delimiter)) {
    const candidate = path.join(folder, name);
    if (folder && isExecutable(candidate)) return candidate;
  }
  return null;
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
