import { chmodSync, mkdtempSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { explain } from '../process/failure';
import { removeDataFolder } from '../servers/postgres-cluster';
import type { KeeperMessage } from './facts';
import { type Started, startTestServers, stopTestServers } from './servers';

/**
 * Keeps the test servers for as long as Jest lives. It is a process of its own, tied to Jest by its message channel:
 * when that closes, for whatever reason (a Ctrl-C, a kill -9, a crash), the servers are stopped and their data goes.
 */
async function keep(root: string): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'millrace-test-'));
  // As root, PostgreSQL runs as another user, who has to get in.
  chmodSync(folder, 0o711);
  const started: Started[] = [];
  const abandoned = new Promise<void>((resolve) => {
    process.once('disconnect', resolve);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, resolve);
  });
  const onProgress = (text: string): void => {
    tell({ type: 'progress', text });
  };
  const starting = startTestServers({ root, folder, onProgress }, started).then(
    (facts) => {
      tell({ type: 'ready', facts });
    },
    (error: unknown) => {
      tell({ type: 'failed', reason: explain(error) });
    },
  );
  await abandoned;
  await starting;
  await stopTestServers(started);
  removeDataFolder(folder);
}

function tell(message: KeeperMessage): void {
  if (process.connected) process.send?.(message, ignoreClosedChannel);
}

/** Jest may go away at any moment; the `disconnect` that follows says so. */
function ignoreClosedChannel(): void {}

void keep(process.argv[2] ?? process.cwd()).then(() => {
  process.exit();
});
