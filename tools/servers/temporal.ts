import { chmodSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { launch } from '../process/child';
import { waitUntilReady } from '../process/wait';
import type { Server } from './server';

export interface TemporalOptions {
  readonly binary: string;
  readonly dataFolder: string;
  readonly port: number;
  readonly uiPort: number;
  readonly logFile: string;
  /** False for tests that show what it is good for. */
  readonly fairness?: boolean;
}

const readyMs = 60_000;
const answerMs = 2_000;
const databaseFile = 'temporal.db';

/**
 * Fairness between tenants needs all of these. Each partition of a task queue is fair for itself only: with the usual four, a
 * small tenant's task may lie in one that is seldom polled. Read partitions stay, so that tasks from before are still found.
 */
const fairness = [
  'matching.useNewMatcher=true',
  'matching.enableFairness=true',
  'matching.numTaskqueueWritePartitions=1',
];

/** The dev server with its web UI; a SQLite file keeps its workflows over restarts. */
export function createTemporal(options: TemporalOptions): Server {
  return {
    name: 'Temporal',
    stop: { signal: 'SIGTERM', graceMs: 15_000 },
    // It looks for free ports of its own, and gives up where another program is quicker.
    retryMs: 15_000,
    launch: (record) =>
      launch(
        {
          name: 'Temporal',
          command: options.binary,
          args: [
            ...['server', 'start-dev', '--ip', '127.0.0.1', '--log-level', 'warn'],
            ...['--port', String(options.port), '--ui-port', String(options.uiPort)],
            ...['--db-filename', path.join(options.dataFolder, databaseFile)],
            ...fairness
              .filter((value) => options.fairness !== false || !value.startsWith('matching.enableFairness'))
              .flatMap((value) => ['--dynamic-config-value', value]),
          ],
          cwd: options.dataFolder,
          logFile: options.logFile,
        },
        record,
      ),
    ready: async (child) => {
      await waitUntilReady(child, readyMs, () => namespaceAnswers(options.uiPort));
      keepPrivate(options.dataFolder);
    },
  };
}

/** The server makes its files readable for everybody. */
function keepPrivate(dataFolder: string): void {
  for (const name of readdirSync(dataFolder)) {
    if (name.startsWith(databaseFile)) makePrivate(path.join(dataFolder, name));
  }
}

/** SQLite's journal comes and goes. */
function makePrivate(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Whether the UI answers for the namespace `default`, which it asks of the server behind it. */
async function namespaceAnswers(uiPort: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${uiPort}/api/v1/namespaces/default`, {
    signal: AbortSignal.timeout(answerMs),
  });
  return response.ok;
}
