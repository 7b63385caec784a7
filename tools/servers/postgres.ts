import path from 'node:path';
import { Client } from 'pg';
import { type Child, launch } from '../process/child';
import type { StopManner } from '../process/stop';
import { becomesTrue, waitUntilReady } from '../process/wait';
import { postgresBinaries } from './postgres-binaries';
import { type ClusterRequest, ensureCluster, existingCluster } from './postgres-cluster';
import { clearLeftover } from './postgres-leftover';
import { choosePostgresOwner } from './postgres-owner';
import type { RecordIdentity, Server } from './server';

/** SIGINT is PostgreSQL's fast shutdown (SIGTERM would wait for clients to leave), SIGQUIT the immediate one. */
export const postgresStop: StopManner = { signal: 'SIGINT', graceMs: 30_000, hurrySignal: 'SIGQUIT' };

export interface PostgresOptions {
  /** The checkout, whose node_modules hold the binaries. */
  readonly root: string;
  readonly dataFolder: string;
  readonly port: number;
  readonly password: string;
  readonly logFile: string;
  /** Settings beside the defaults, such as `{ fsync: 'off' }` for tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Gives the preparation up. */
  readonly signal?: AbortSignal;
}

const readyMs = 60_000;
/** After a kill, the dead server's processes hold its shared memory for some seconds, and a new one refuses to start. */
const leftoverMs = 10_000;

const defaults: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  // No socket: its path would be too long in deep folders, and everything here speaks TCP.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  max_wal_size: '2GB',
  // Compiling a plan costs more than all that these queries do.
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
};

/** Makes sure binaries, user and cluster are there; the server can then be launched as often as needed. */
export async function createPostgres(options: PostgresOptions): Promise<Server> {
  const owner = await choosePostgresOwner(existingCluster(options.dataFolder));
  const binaries = await postgresBinaries(options.root, owner);
  const request: ClusterRequest = {
    dataFolder: options.dataFolder,
    binaries,
    owner,
    password: options.password,
    signal: options.signal,
  };
  const cluster = await ensureCluster(request);
  await clearLeftover(cluster, postgresStop);
  const settings = { ...defaults, ...options.settings, port: String(options.port) };
  return {
    name: 'PostgreSQL',
    stop: postgresStop,
    retryMs: leftoverMs,
    launch: (record: RecordIdentity): Child =>
      launch(
        {
          name: 'PostgreSQL',
          command: path.join(binaries, 'postgres'),
          args: [
            '-D',
            cluster,
            ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
          ],
          env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC' },
          logFile: options.logFile,
          owner,
        },
        record,
      ),
    ready: async (child) => {
      await waitUntilReady(child, readyMs, () => answers(postgresUrl(options, 'postgres')));
    },
  };
}

/** The URL of a database in the server that `options` describe. */
export function postgresUrl(options: Pick<PostgresOptions, 'port' | 'password'>, database: string): string {
  return `postgres://postgres:${encodeURIComponent(options.password)}@127.0.0.1:${options.port}/${database}`;
}

/** Creates a database unless it is there. */
export async function ensureDatabase(serverUrl: string, database: string): Promise<void> {
  await withClient(serverUrl, async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [database]);
    if (rowCount === 0) await client.query(`create database ${client.escapeIdentifier(database)}`);
  });
}

/** Runs `work` on a connection of its own. */
export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // A server that goes away while connected must not end this process.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Whether somebody answers SQL at this address within `timeoutMs`. */
export async function databaseAnswers(url: string, timeoutMs: number): Promise<boolean> {
  return becomesTrue(timeoutMs, () => answers(url));
}

async function answers(url: string): Promise<boolean> {
  return withClient(url, async (client) => {
    await client.query('select 1');
    return true;
  });
}
