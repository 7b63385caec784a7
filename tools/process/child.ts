import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { StartFailure } from './failure';
import { type ProcessIdentity, identify } from './identity';
import { openLog } from './log-file';

export interface LaunchRequest {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly logFile: string;
  /** Run as this user (the caller is root). */
  readonly owner?: { readonly uid: number; readonly gid: number } | null;
  /** What the program sees as its own name. */
  readonly argv0?: string;
  /** Open a message channel; see `nextMessage`. */
  readonly ipc?: boolean;
}

export interface Child {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly process: ChildProcess;
  /** Resolves with a phrase such as `exit code 1` or `SIGKILL`; never rejects. */
  readonly exited: Promise<string>;
  hasExited(): boolean;
}

/**
 * Starts a program in a process group of its own: a Ctrl-C in the terminal reaches only the launcher, which then
 * stops its children in order. `record` is called with the identity before anything else can fail.
 */
export function launch(request: LaunchRequest, record: (identity: ProcessIdentity) => void): Child {
  const log = openLog(request.logFile);
  try {
    const child = spawn(request.command, request.args, {
      cwd: request.cwd ?? '/',
      env: request.env ?? process.env,
      detached: true,
      stdio: request.ipc ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      ...(request.owner && { uid: request.owner.uid, gid: request.owner.gid }),
      ...(request.argv0 && { argv0: request.argv0 }),
    });
    if (child.pid === undefined) return neverStarted(request, child);
    const identity = identify(child.pid);
    if (identity) record(identity);
    return asChild(request, child, child.pid);
  } finally {
    closeSync(log);
  }
}

function asChild(request: LaunchRequest, child: ChildProcess, pid: number): Child {
  const exited = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      endGroup(pid);
      resolve(signal ?? `exit code ${code}`);
    });
  });
  child.on('error', ignoreLateError);
  return {
    name: request.name,
    pid,
    logFile: request.logFile,
    process: child,
    exited,
    hasExited: () => child.exitCode !== null || child.signalCode !== null,
  };
}

/** What a child started itself must not outlive it: it was killed, perhaps, before it could see to that. */
function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Usually nobody is left.
  }
}

function neverStarted(request: LaunchRequest, child: ChildProcess): never {
  child.on('error', ignoreLateError);
  throw new StartFailure(`${request.name}: ${request.command} can't be run`, request.logFile);
}

/** A message to a child that is just ending fails with an event; its exit is what counts and is seen anyway. */
function ignoreLateError(): void {}
