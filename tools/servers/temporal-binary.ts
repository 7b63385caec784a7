import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { cacheFolder } from './cache-folder';
import { findOnPath, runCommand } from './command';
import { downloadTemporal } from './temporal-download';

/**
 * The last version of the CLI that the Go proxy alone can build (later ones have a local `replace`), and the one
 * whose flags and behaviour are relied on. tools/temporal/go.mod names the same.
 */
export const temporalVersion = '1.5.1';

export interface TemporalSearch {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  /** Told what is being done, for the display. */
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

const probeMs = 20_000;
const buildMs = 30 * 60_000;
const staleMs = 24 * 60 * 60_000;
const goFolders = ['/usr/local/go/bin', '/opt/homebrew/bin', '/usr/lib/go/bin'];

/** Path of a `temporal` that runs here: from PATH, the cache, a download, or a build from source. */
export async function findTemporal(search: TemporalSearch): Promise<string> {
  const onPath = findOnPath('temporal', search.env.PATH);
  if (onPath && (await runs(onPath))) return onPath;
  const folder = path.join(
    cacheFolder(search.env),
    `temporal-${temporalVersion}-${process.platform}-${process.arch}`,
  );
  const binary = path.join(folder, 'temporal');
  if (await runs(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  removeStale(folder);
  if (await download(search, binary)) return binary;
  await build(search, binary);
  return binary;
}

async function runs(binary: string): Promise<boolean> {
  if (!existsSync(binary)) return false;
  const { ok, output } = await runCommand(binary, ['--version'], { timeoutMs: probeMs });
  return ok && /temporal version/i.test(output);
}

async function download(search: TemporalSearch, binary: string): Promise<boolean> {
  search.onProgress('downloading');
  const folder = draftOf(binary, 'download');
  try {
    const downloaded = await downloadTemporal({ ...search, folder, version: temporalVersion });
    if (!downloaded || !(await runs(downloaded))) return false;
    renameSync(downloaded, binary);
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Two starts may build at the same time: each into a name of its own, and a rename puts one in place. */
async function build(search: TemporalSearch, binary: string): Promise<void> {
  const go = findOnPath('go', [search.env.PATH ?? '', ...goFolders].join(path.delimiter));
  if (!go) {
    throw new StartFailure(
      'The Temporal dev server is missing and could not be downloaded: put `temporal` (https://temporal.io/setup/install-temporal-cli) on PATH, or install Go 1.25 or later to have it built, or set TEMPORAL_ADDRESS',
    );
  }
  const draft = draftOf(binary, 'build');
  search.onProgress('building from source, once; takes some minutes');
  const { ok, output } = await runCommand(go, buildArguments(draft), {
    timeoutMs: buildMs,
    cwd: path.join(search.root, 'tools/temporal'),
    // A user's own workspace or flags must not change what is built.
    env: { ...search.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' },
    onLine: (line) => {
      search.onProgress(`building from source, once; takes some minutes: ${line.slice(0, 70)}`);
    },
    ...(search.signal && { signal: search.signal }),
  });
  if (!ok) {
    rmSync(draft, { force: true });
    throw new StartFailure(
      `The Temporal dev server could not be built (put \`temporal\` on PATH, or set TEMPORAL_ADDRESS):\n${output.split('\n').slice(-8).join('\n')}`,
    );
  }
  chmodSync(draft, 0o755);
  renameSync(draft, binary);
}

function buildArguments(target: string): string[] {
  const version = `-X github.com/temporalio/cli/temporalcli.Version=${temporalVersion}`;
  return [
    ...['build', '-v', '-trimpath', '-mod=readonly', '-buildvcs=false', '-ldflags', `-s -w ${version}`],
    ...['-o', target, 'github.com/temporalio/cli/cmd/temporal'],
  ];
}

function draftOf(binary: string, kind: string): string {
  return `${binary}.${kind}.${process.pid}`;
}

/** Drafts of starts that were killed long ago. */
function removeStale(folder: string): void {
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    if (name === 'temporal') continue;
    const age = Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > staleMs) rmSync(file, { recursive: true, force: true });
  }
}
