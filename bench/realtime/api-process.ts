import path from 'node:path';
import { type Child, launch } from '../../tools/process/child';
import { StartFailure } from '../../tools/process/failure';
import { stopChild } from '../../tools/process/stop';
import { waitUntilReady } from '../../tools/process/wait';
import { nodeArgs } from '../../tools/start/product';
import { openSecrets } from '../../tools/start/secrets';
import type { BenchContext } from '../frame/bench';

/** A process that subscribers connect to. */
export interface ServerProcess {
  readonly pid: number;
  readonly port: number;
  close(): Promise<void>;
}

const readyMs = 60_000;
const stopMs = 30_000;
const host = '127.0.0.1';
const entry = path.join(__dirname, '../../src/main.js');

/**
 * One more API process on the copy's servers, started as the launcher starts its own: fresh for each run, so that its memory is
 * that of this run's connections.
 * @param nodeExtra e.g. `--cpu-prof`
 */
export async function startApiProcess(
  context: BenchContext,
  run: string,
  nodeExtra: readonly string[],
): Promise<ServerProcess> {
  const child = launchApi(context, run, nodeExtra);
  let port = 0;
  child.process.on('message', (message: { type?: string; port?: number }) => {
    if (message.type === 'ready') port = message.port ?? 0;
  });
  const { signal } = context;
  const kill = (): void => void child.process.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  const close = async (): Promise<void> => {
    signal.removeEventListener('abort', kill);
    await stopChild(child, { signal: 'SIGTERM', graceMs: stopMs });
  };
  try {
    signal.throwIfAborted();
    await waitUntilReady(child, readyMs, () => port !== 0);
  } catch (error) {
    await close();
    throw error instanceof StartFailure ? error : new StartFailure(`The API did not start: ${String(error)}`);
  }
  return { pid: child.pid, port, close };
}

function launchApi({ facts, folder }: BenchContext, run: string, nodeExtra: readonly string[]): Child {
  const preload = ['--require', path.join(__dirname, 'servers/with-garbage.js')];
  return launch(
    {
      name: 'API',
      command: process.execPath,
      args: [...nodeArgs('api'), ...nodeExtra, ...preload, entry, 'api'],
      env: {
        PATH: process.env.PATH,
        NODE_ENV: 'production',
        DATABASE_URL: facts.database_url,
        REDIS_URL: facts.redis_url,
        TEMPORAL_ADDRESS: facts.temporal_address,
        MILLRACE_SECRET_KEYS: openSecrets(folder).secretKeys,
        MILLRACE_DATA_DIR: folder,
        HOST: host,
        PORT: '0',
      },
      cwd: folder,
      logFile: path.join(folder, `logs/realtime-${run}.log`),
      ipc: true,
    },
    () => undefined,
  );
}
