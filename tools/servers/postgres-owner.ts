import { statSync } from 'node:fs';
import { runCommand } from './command';

/** The system user PostgreSQL runs as. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const probeMs = 10_000;
const ownUser = 'millrace';

/**
 * Whom to run PostgreSQL as: null means as ourselves. PostgreSQL refuses to run as root, so root lends it another
 * user; an existing cluster keeps the user that owns its files, whoever would be chosen today.
 */
export async function choosePostgresOwner(cluster: string | null): Promise<Owner | null> {
  if (process.getuid?.() !== 0) return null;
  const present = cluster ? ownerOf(cluster) : null;
  if (present) return present;
  return (
    (await lookUp('postgres')) ?? (await lookUp(ownUser)) ?? (await createUser()) ?? (await lookUp('nobody'))
  );
}

/** Whether `owner` may enter `folder`, asked of the system itself so that access lists count too. */
export async function canEnter(folder: string, owner: Owner | null): Promise<boolean> {
  const { ok } = await runCommand('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { timeoutMs: probeMs, owner });
  return ok;
}

function ownerOf(folder: string): Owner | null {
  try {
    const { uid, gid } = statSync(folder);
    return uid === 0 ? null : { uid, gid };
  } catch {
    return null;
  }
}

async function lookUp(user: string): Promise<Owner | null> {
  const uid = await runCommand('id', ['-u', user], { timeoutMs: probeMs });
  const gid = await runCommand('id', ['-g', user], { timeoutMs: probeMs });
  if (!uid.ok || !gid.ok || Number(uid.output) === 0) return null;
  return { uid: Number(uid.output), gid: Number(gid.output) };
}

async function createUser(): Promise<Owner | null> {
  const attempts: [string, string[]][] = [
    ['useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', ownUser]],
    // BusyBox (Alpine) has adduser only.
    ['adduser', ['-S', '-D', '-H', '-s', '/sbin/nologin', ownUser]],
  ];
  for (const [command, args] of attempts) {
    if ((await runCommand(command, args, { timeoutMs: probeMs })).ok) return lookUp(ownUser);
  }
  return null;
}
