/** Entry: `main api | worker | migrate | admin …`. Signals end here, and so does the process. */
import { parseAdmin, UsageError } from './admin';
import type { Setting } from './compose/parts';
import { isAppError } from './domain/errors';
import { ConfigError, type ConfigOf, loadConfig, ROLES, type Role } from './platform/config';
import { createLifecycle, type Lifecycle } from './platform/lifecycle';
import { createLogger, type Logger } from './platform/logger';

const USAGE = `usage: main <command>
  api                 serve the API
  worker              run jobs
  migrate             bring database and Temporal up to date
  admin bootstrap     make the first tenant and its admin key; prints {"tenant_id","admin_key"}, or {} where a tenant exists
  admin create-key    [--tenant tnt_…] [--scopes jobs:read,jobs:write] [--name …] [--expires-at 2027-01-01T00:00:00Z]
                      makes a key, with \`admin\` and of the oldest tenant where nothing else is said; prints {"key_id","key"}
  admin list-keys     [--tenant tnt_…]
  admin revoke-key    key_…
`;

/** sysexits.h */
const EX_USAGE = 64;
const EX_CONFIG = 78;

/**
 * A server goes on until it is told to stop; a command is over when it resolves. What a role is made of is loaded for that role
 * only: the API has no use for the worker's native code, nor a mistyped command for any of it. (A dynamic import is one of the
 * runtime, which wants the extension.)
 */
async function run(role: Role, args: readonly string[], exits: Exits): Promise<void> {
  switch (role) {
    case 'api': {
      const setting = prepare(role, exits);
      const { composeApi } = await import('./compose.js');
      return serve(await composeApi(setting));
    }
    case 'worker': {
      const setting = prepare(role, exits);
      const { composeWorker } = await import('./compose/worker.js');
      const { ended } = await composeWorker(setting);
      serve({});
      return ended;
    }
    case 'migrate': {
      const setting = prepare(role, exits);
      const { composeMigrate } = await import('./compose.js');
      await composeMigrate(setting);
      return exits.end(0);
    }
    case 'admin': {
      const command = parseAdmin(args);
      const setting = prepare(role, exits);
      const { composeAdmin } = await import('./compose/admin.js');
      try {
        process.stdout.write(`${JSON.stringify(await command(composeAdmin(setting)))}\n`);
      } catch (error) {
        if (!isAppError(error)) throw error;
        // Someone reads it, and it is all there is to know.
        process.stderr.write(`${error.detail}\n`);
        return exits.end(1);
      }
      return exits.end(0);
    }
  }
}

/** Whoever started this process over a channel learns that it can be used. */
function serve(facts: object): void {
  process.send?.({ type: 'ready', ...facts });
}

function prepare<R extends Role>(role: R, exits: Exits): Setting<ConfigOf[R]> {
  const config = loadConfig(process.env, role);
  const log = createLogger({ level: config.logLevel, role, toStderr: role === 'admin' });
  const lifecycle = createLifecycle(log);
  exits.closeFirst(log, lifecycle);
  return { config, log, lifecycle };
}

interface Exits {
  /** From now on an end closes this first. */
  closeFirst(log: Logger, lifecycle: Lifecycle): void;
  /** The only way out of the process. A failure that comes while it ends wins over success. */
  end(code: number): Promise<void>;
  /** Says what is wrong, and goes on. */
  note(error: unknown, what: string): void;
  /** Says what is wrong, then ends. */
  fail(error: unknown, what: string): Promise<void>;
  /** Says what is wrong and is gone, without a word to anybody else. */
  crash(error: unknown, what: string): void;
}

function createExits(): Exits {
  let opened: { log: Logger; lifecycle: Lifecycle } | undefined;
  let ending: Promise<void> | undefined;
  let exitCode = 0;
  const end = (code: number): Promise<void> => {
    exitCode = Math.max(exitCode, code);
    ending ??= (async () => {
      const clean = (await opened?.lifecycle.close()) ?? true;
      process.exit(exitCode === 0 && !clean ? 1 : exitCode);
    })();
    return ending;
  };
  return {
    closeFirst: (log, lifecycle) => {
      opened = { log, lifecycle };
    },
    end,
    note: (error, what) => opened?.log.error({ err: error }, what),
    fail: (error, what) => {
      if (error instanceof ConfigError || error instanceof UsageError) {
        process.stderr.write(`${error.message}\n${error instanceof UsageError ? USAGE : ''}`);
        return end(error instanceof UsageError ? EX_USAGE : EX_CONFIG);
      }
      if (opened === undefined) process.stderr.write(`${what}: ${String(error)}\n`);
      else opened.log.fatal({ err: error }, what);
      return end(1);
    },
    crash: (error, what) => {
      opened?.log.fatal({ err: error }, what);
      process.exit(1);
    },
  };
}

async function main(): Promise<void> {
  const exits = createExits();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void exits.end(0));
  const [name = '', ...args] = process.argv.slice(2);
  const role = ROLES.find((known) => known === name);
  process.on('uncaughtException', (error) => {
    // In a worker it may be a handler's. Chunks that were handed back in good order would be begun again, with the same item
    // and the same end, for ever; those that are lost come under suspicion until the item is found.
    if (role === 'worker') exits.crash(error, 'uncaught exception');
    else void exits.fail(error, 'uncaught exception');
  });
  process.on('unhandledRejection', (error) => {
    // In a worker it may be a promise that a handler forgot: that harms one item, ending the process would harm them all.
    if (role === 'worker') exits.note(error, 'unhandled rejection');
    else void exits.fail(error, 'unhandled rejection');
  });
  try {
    if (role === undefined) throw new UsageError(`unknown command: ${name || '(none)'}`);
    await run(role, args, exits);
  } catch (error) {
    await exits.fail(error, 'start failed');
  }
}

void main();
