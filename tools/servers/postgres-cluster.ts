import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { runCommand } from './command';
import { publicFolders } from './postgres-binaries';
import { type Owner, canEnter } from './postgres-owner';

const initMs = 120_000;

export interface ClusterRequest {
  /** The data folder; the cluster is its `postgres`. */
  readonly dataFolder: string;
  readonly binaries: string;
  readonly owner: Owner | null;
  /** The password of the superuser `postgres`; taken at the cluster's birth. */
  readonly password: string;
  readonly signal?: AbortSignal | undefined;
}

/** The existing cluster's real folder below a data folder, or null. */
export function existingCluster(dataFolder: string): string | null {
  const place = path.join(dataFolder, 'postgres');
  return existsSync(path.join(place, 'PG_VERSION')) ? realpathSync(place) : null;
}

/** The cluster's real folder, made first where there is none. */
export async function ensureCluster(request: ClusterRequest): Promise<string> {
  const present = existingCluster(request.dataFolder);
  if (present) {
    await assertSameVersion(present, request.binaries);
    return present;
  }
  const place = path.join(request.dataFolder, 'postgres');
  if (lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new StartFailure(
      `${place} points to a PostgreSQL cluster that is gone; remove the link to begin with an empty one`,
    );
  }
  // What an interrupted first start left holds nothing yet.
  rmSync(place, { recursive: true, force: true });
  if (!request.owner || (await canEnter(request.dataFolder, request.owner))) {
    await createCluster(request, place);
    return realpathSync(place);
  }
  return createClusterElsewhere(request, place);
}

/**
 * As root, with the data folder below a home of mode 0700, PostgreSQL's user can't reach the data folder. The
 * cluster then lives in a public place, under a name nobody guesses by accident, with a link from the data folder
 * and a note of where it belongs.
 */
async function createClusterElsewhere(request: ClusterRequest, place: string): Promise<string> {
  for (const folder of publicFolders) {
    const home = path.join(folder, randomBytes(8).toString('hex'));
    const cluster = path.join(home, 'postgres');
    try {
      mkdirSync(folder, { recursive: true, mode: 0o755 });
      mkdirSync(home, { mode: 0o711 });
      writeFileSync(path.join(home, 'origin'), `${place}\n`, { mode: 0o600 });
    } catch {
      continue;
    }
    if (await canEnter(home, request.owner)) {
      await createCluster(request, cluster);
      symlinkSync(cluster, place);
      return cluster;
    }
    rmSync(home, { recursive: true, force: true });
  }
  throw new StartFailure(
    `The user PostgreSQL has to run as can't enter ${request.dataFolder}; set MILLRACE_DATA_DIR to a folder it can`,
  );
}

/** Made beside its place and renamed, so that a start killed in the middle leaves no half cluster in place. */
async function createCluster(request: ClusterRequest, place: string): Promise<void> {
  const draft = `${place}.new`;
  const passwordFile = `${place}.password`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { mode: 0o700 });
  writeFileSync(passwordFile, request.password, { mode: 0o600 });
  // An umask may have taken bits away.
  chmodSync(draft, 0o700);
  if (request.owner) {
    for (const file of [draft, passwordFile]) chownSync(file, request.owner.uid, request.owner.gid);
  }
  try {
    await runInitdb(request, draft, passwordFile);
    renameSync(draft, place);
  } finally {
    rmSync(passwordFile, { force: true });
    rmSync(draft, { recursive: true, force: true });
  }
}

async function runInitdb(request: ClusterRequest, folder: string, passwordFile: string): Promise<void> {
  const args = [
    `--pgdata=${folder}`,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    // Without these the encoding follows LANG, and is SQL_ASCII where that is unset.
    '--encoding=UTF8',
    '--locale=C.UTF-8',
  ];
  const { ok, output } = await runCommand(path.join(request.binaries, 'initdb'), args, {
    timeoutMs: initMs,
    owner: request.owner,
    ...(request.signal && { signal: request.signal }),
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
  });
  if (!ok) throw new StartFailure(`PostgreSQL's initdb failed:\n${output}`);
}

async function assertSameVersion(cluster: string, binaries: string): Promise<void> {
  const ofCluster = readFileSync(path.join(cluster, 'PG_VERSION'), 'utf8').trim();
  const { output } = await runCommand(path.join(binaries, 'postgres'), ['--version'], { timeoutMs: initMs });
  const ofBinaries = /\) (\d+)/.exec(output)?.[1];
  if (ofCluster === ofBinaries) return;
  throw new StartFailure(
    `${cluster} was made by PostgreSQL ${ofCluster}, but this is ${ofBinaries}; upgrade it with pg_upgrade or begin with another MILLRACE_DATA_DIR`,
  );
}

/** Deletes a data folder with its cluster, also where the cluster lives elsewhere. For folders of tests. */
export function removeDataFolder(dataFolder: string): void {
  const place = path.join(dataFolder, 'postgres');
  if (lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() && existsSync(place)) {
    rmSync(path.dirname(realpathSync(place)), { recursive: true, force: true });
  }
  rmSync(dataFolder, { recursive: true, force: true });
}
