import { mkdirSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from './command';

export interface DownloadRequest {
  /** An empty folder of this download's own. */
  readonly folder: string;
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Time until the first byte: without open internet there is another way, so not worth waiting for. */
const firstByteMs = 15_000;
const stalledMs = 20_000;
const wholeMs = 15 * 60_000;
const lookEveryMs = 500;

/**
 * Lets the TypeScript SDK download the CLI, and answers the file's path, or null when it can't. The SDK has no time
 * limit of its own, so it runs in a process that is ended when nothing has arrived for a while.
 */
export async function downloadTemporal(request: DownloadRequest): Promise<string | null> {
  mkdirSync(request.folder, { recursive: true });
  const stop = new AbortController();
  const progress = watchProgress(request, stop);
  try {
    await runCommand(process.execPath, ['-e', script(request)], {
      timeoutMs: wholeMs,
      // The SDK is found from here; the process has no file of its own.
      cwd: __dirname,
      env: request.env,
      signal: request.signal ? AbortSignal.any([request.signal, stop.signal]) : stop.signal,
    });
  } finally {
    clearInterval(progress);
  }
  // The server's first start may have failed; what counts is the file.
  const done = readdirSync(request.folder).find((name) => !name.endsWith('.downloading'));
  return done ? path.join(request.folder, done) : null;
}

/** The SDK downloads only as a part of starting a server, so one is started and stopped. */
function script({ folder, version }: DownloadRequest): string {
  const executable = JSON.stringify({ type: 'cached-download', downloadDir: folder, version: `v${version}` });
  return `require('@temporalio/testing').TestWorkflowEnvironment
    .createLocal({ server: { executable: ${executable} } })
    .then((environment) => environment.teardown());`;
}

function watchProgress(request: DownloadRequest, stop: AbortController): NodeJS.Timeout {
  let bytes = 0;
  let changedAt = performance.now();
  return setInterval(() => {
    const now = performance.now();
    const arrived = bytesIn(request.folder);
    if (arrived !== bytes) {
      bytes = arrived;
      changedAt = now;
      request.onProgress(`downloading, ${Math.round(bytes / 1e6)} MB`);
    }
    if (now - changedAt > (bytes === 0 ? firstByteMs : stalledMs)) stop.abort();
  }, lookEveryMs);
}

function bytesIn(folder: string): number {
  const sizes = readdirSync(folder).map(
    (name) => statSync(path.join(folder, name), { throwIfNoEntry: false })?.size ?? 0,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
