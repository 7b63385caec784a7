import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { cacheFolder } from './cache-folder';
import { findOnPath, runCommand } from './command';

/** The `executable` option of @temporalio/testing's servers. */
export type TestServerExecutable =
  | { readonly type: 'existing-path'; readonly path: string }
  | { readonly type: 'cached-download'; readonly downloadDir: string };

const probeMs = 20_000;
const fetchMs = 10 * 60_000;

/**
 * The time-skipping test server: its jars come from Maven into the cache folder once; without Java or Maven the SDK
 * is left to download its own build of it.
 */
export async function findTimeSkippingServer(
  root: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<TestServerExecutable> {
  const cache = cacheFolder(env);
  const folder = path.join(
    cache,
    `time-skipping-${versionIn(path.join(root, 'tools/time-skipping/pom.xml'))}`,
  );
  const script = path.join(folder, 'test-server.sh');
  if (!(await canRun('java', ['-version'], env))) return { type: 'cached-download', downloadDir: cache };
  if (!existsSync(script)) {
    if (!(await canRun('mvn', ['--version'], env))) return { type: 'cached-download', downloadDir: cache };
    await fetchJars(root, folder, env);
  }
  return { type: 'existing-path', path: script };
}

async function canRun(command: string, args: string[], env: NodeJS.ProcessEnv): Promise<boolean> {
  const found = findOnPath(command, env.PATH);
  return found !== null && (await runCommand(found, args, { timeoutMs: probeMs, env })).ok;
}

/** Two test files may fetch at the same time: each into a folder of its own, and a rename puts one in place. */
async function fetchJars(root: string, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const source = path.join(root, 'tools/time-skipping');
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  const goal = 'dependency:copy-dependencies';
  const options = [`-DoutputDirectory=${draft}/lib`, '-DincludeScope=runtime'];
  const args = ['--batch-mode', '--quiet', '-f', path.join(source, 'pom.xml'), goal, ...options];
  const { ok, output } = await runCommand('mvn', args, { timeoutMs: fetchMs, env });
  if (!ok) {
    rmSync(draft, { recursive: true, force: true });
    throw new StartFailure(`Maven could not bring the time-skipping test server:\n${output}`);
  }
  copyFileSync(path.join(source, 'test-server.sh'), path.join(draft, 'test-server.sh'));
  chmodSync(path.join(draft, 'test-server.sh'), 0o755);
  try {
    renameSync(draft, folder);
  } catch {
    // The other one was faster.
    rmSync(draft, { recursive: true, force: true });
  }
}

function versionIn(pom: string): string {
  const match = /<artifactId>temporal-test-server<\/artifactId>\s*<version>([^<]+)</.exec(
    readFileSync(pom, 'utf8'),
  );
  if (!match?.[1]) throw new Error(`${pom} names no version of temporal-test-server`);
  return match[1];
}
