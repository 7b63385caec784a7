import { type ChildProcess, spawn } from 'node:child_process';

/**
 * A run of the tests that is killed must not leave anything behind: the pipe to the guard closes with this process, and the
 * guard then ends `child`, or its process group where it leads one.
 */
export function leash(child: ChildProcess, { group }: { group: boolean }): void {
  if (child.pid === undefined) return;
  const guard = spawn('/bin/sh', ['-c', `cat; kill -9 ${group ? '-' : ''}${child.pid}`], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // The pid may soon be another's.
  child.once('exit', () => guard.kill('SIGKILL'));
}
