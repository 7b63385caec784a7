import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type ApiClient, createApiClient } from './api-client';
import { leash } from './leash';
import { createTestDatabase, testServers } from './servers';

/** As `npm start` runs the roles. */
const NODE_OPTIONS = ['--max-semi-space-size=4'];
const MAIN = path.resolve(__dirname, '../../dist/src/main.js');

/** Handlers that fail in all the ways that tests need. */
export const HANDLERS_DIR = path.join(__dirname, 'handlers');

/** A role of the product, running as a process of its own as in real life. */
export interface Role {
  readonly process: ChildProcess;
  readonly pid: number;
  /** SIGTERM, and the exit code it led to; SIGKILL where that takes too long. */
  stop(): Promise<number | null>;
  /** kill -9 */
  kill(): Promise<void>;
  log(): string;
}

/** `call` and `json` are by the admin key. */
export interface Product extends ApiClient {
  readonly tenantId: string;
  readonly namespace: string;
  readonly databaseUrl: string;
  startWorker(env?: NodeJS.ProcessEnv): Promise<Role>;
  startApi(env?: NodeJS.ProcessEnv): Promise<Role & { url: string }>;
  close(): Promise<void>;
}

export interface ProductOptions {
  /** instead of the shared servers; a database of one's own is migrated, and not dropped */
  databaseUrl?: string;
  redisUrl?: string;
  temporalAddress?: string;
  namespace?: string;
  env?: NodeJS.ProcessEnv;
}

/** An API over a database, a namespace and a Redis prefix of its own; workers are the test's to start. */
export async function startProduct(options: ProductOptions = {}): Promise<Product> {
  const servers = testServers();
  const database =
    options.databaseUrl === undefined
      ? await createTestDatabase()
      : { url: options.databaseUrl, drop: async () => undefined };
  const name = `test-${randomBytes(6).toString('hex')}`;
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-product-'));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    DATABASE_URL: database.url,
    REDIS_URL: options.redisUrl ?? servers.redisUrl,
    MILLRACE_REDIS_PREFIX: `${name}:`,
    TEMPORAL_ADDRESS: options.temporalAddress ?? servers.temporalAddress,
    TEMPORAL_NAMESPACE: options.namespace ?? name,
    TEMPORAL_UI_URL: servers.temporalUiUrl,
    MILLRACE_SECRET_KEYS: randomBytes(32).toString('base64'),
    MILLRACE_DATA_DIR: folder,
    HOST: '127.0.0.1',
    PORT: '0',
    ...options.env,
  };
  execFileSync(process.execPath, [MAIN, 'migrate'], { env, stdio: 'pipe' });
  const made = execFileSync(process.execPath, [MAIN, 'admin', 'bootstrap'], {
    env,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { tenant_id: tenantId, admin_key: key } = JSON.parse(made.toString()) as Record<string, string>;
  if (tenantId === undefined || key === undefined) throw new Error('no first tenant');

  const roles: Role[] = [];
  const start = async (
    role: string,
    more: NodeJS.ProcessEnv = {},
  ): Promise<Role & { facts: Record<string, unknown> }> => {
    const log = path.join(folder, `${role}-${roles.length}.log`);
    const started = await startRole({ role, env: { ...env, ...more }, log });
    roles.push(started);
    return started;
  };
  const startApi = async (more?: NodeJS.ProcessEnv): Promise<Role & { url: string }> => {
    const api = await start('api', more);
    return Object.assign(api, { url: `http://127.0.0.1:${String(api.facts.port)}` });
  };
  const { url } = await startApi();

  return {
    ...createApiClient({ url, key }),
    tenantId,
    namespace: env.TEMPORAL_NAMESPACE as string,
    databaseUrl: database.url,
    startWorker: (more) => start('worker', more),
    startApi,
    async close() {
      await Promise.all(roles.map((role) => role.stop()));
      await database.drop();
    },
  };
}

interface RoleStart {
  role: string;
  env: NodeJS.ProcessEnv;
  log: string;
}

async function startRole({ role, env, log }: RoleStart): Promise<Role & { facts: Record<string, unknown> }> {
  const child = spawn(process.execPath, [...NODE_OPTIONS, MAIN, role], {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  leash(child, { group: false });
  const file = createWriteStream(log);
  child.stdout?.pipe(file, { end: false });
  child.stderr?.pipe(file, { end: false });
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const facts = await new Promise<Record<string, unknown>>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Record<string, unknown>));
    void exited.then((code) =>
      reject(new Error(`${role} exited with ${code}:\n${readFileSync(log, 'utf8')}`)),
    );
  });
  return {
    process: child,
    pid: child.pid as number,
    facts,
    log: () => readFileSync(log, 'utf8'),
    async stop() {
      const hurry = setTimeout(() => child.kill('SIGKILL'), 20_000);
      child.kill('SIGCONT');
      child.kill('SIGTERM');
      const code = await exited;
      clearTimeout(hurry);
      return code;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
