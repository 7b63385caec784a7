import { readFileSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { argumentsOf, identify } from '../process/identity';
import { type StopManner, endOrphan } from '../process/stop';

/**
 * Clears what a killed PostgreSQL left in its cluster's postmaster.pid. A live server of this very cluster is ended;
 * a pid that meanwhile belongs to another program only blocks the start (PostgreSQL looks no further than whether
 * such a process lives), so the file is removed. A pid that is gone PostgreSQL clears by itself.
 */
export async function clearLeftover(cluster: string, manner: StopManner): Promise<void> {
  const file = path.join(cluster, 'postmaster.pid');
  const pid = pidIn(file);
  if (pid === null) return;
  const living = identify(pid);
  if (!living) return;
  if (serves(pid, cluster)) await endOrphan(living, manner);
  else rmSync(file, { force: true });
}

function pidIn(file: string): number | null {
  try {
    return Number(readFileSync(file, 'utf8').split('\n', 1)[0]) || null;
  } catch {
    return null;
  }
}

function serves(pid: number, cluster: string): boolean {
  const args = argumentsOf(pid);
  if (!path.basename(args[0] ?? '').startsWith('postgres')) return false;
  return args.join(' ').includes(realpathSync(cluster));
}
