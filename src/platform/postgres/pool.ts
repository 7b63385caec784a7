/** The pool of PostgreSQL connections, and the mapping of its failures onto the error catalogue. */
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { AppError, isAppError } from '../../domain/errors';
import type { Database, Queryable, Statement } from './statement';

export interface PoolOptions {
  url: string;
  /** connections at most */
  max: number;
  applicationName: string;
  statementTimeoutMs?: number;
  onIdleError(error: Error): void;
}

export interface PostgresDatabase extends Database {
  /** For COPY and LISTEN, which need a connection of their own; hand it back by `release`. */
  connect(): Promise<PoolClient>;
  close(): Promise<void>;
}

export function createDatabase(options: PoolOptions): PostgresDatabase {
  const config: PoolConfig = {
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: 1_800 + Math.floor(Math.random() * 300),
    statement_timeout: options.statementTimeoutMs ?? 30_000,
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
  };
  const pool = new Pool(config);
  pool.on('error', options.onIdleError);
  // Told to the query under way too; without a listener, a connection that dies while it is checked out ends the process.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  const connect = (): Promise<PoolClient> => pool.connect().catch(rethrow);
  return {
    run: (stmt, values) => execute(pool, stmt, values),
    transaction: (work) => transact(connect, work),
    connect,
    close: () => pool.end(),
  };
}

type Runner = Pick<Pool, 'query'> | Pick<PoolClient, 'query'>;

async function execute<Row>(
  runner: Runner,
  stmt: Statement<Row>,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  try {
    const { name, text } = stmt;
    const query = { text, values: [...values] };
    const result = await runner.query(stmt.prepared === false ? query : { ...query, name });
    return result.rows as Row[];
  } catch (error) {
    return rethrow(error);
  }
}

/** For a transaction on a connection of one's own. */
export function onConnection(client: PoolClient): Queryable {
  return { run: (stmt, values) => execute(client, stmt, values) };
}

async function transact<T>(
  connect: () => Promise<PoolClient>,
  work: (tx: Queryable) => Promise<T>,
): Promise<T> {
  const client = await connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work({ run: (stmt, values) => execute(client, stmt, values) });
    await client.query('commit');
    return result;
  } catch (error) {
    // A rollback that fails means a dead connection: destroy it rather than hand it to the next one.
    await client.query('rollback').catch((cause: Error) => {
      broken = cause;
    });
    return rethrow(error);
  } finally {
    client.release(broken);
  }
}

/** Classes 08 (connection), 53 (resources), 57P (shutdown, cancel) and the socket's own codes: PostgreSQL is away. */
const AWAY = /^(08|53|57P|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)/;
const AWAY_MESSAGE =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** @throws AppError `dependency_unavailable` where PostgreSQL is away; any other error as it came. */
export function rethrow(error: unknown): never {
  if (isAppError(error) || !(error instanceof Error)) throw error;
  const code = 'code' in error ? String(error.code) : '';
  if (AWAY.test(code) || AWAY_MESSAGE.test(error.message)) {
    throw new AppError('dependency_unavailable', 'The database is away.', {
      cause: error,
      retryAfterSeconds: 1,
    });
  }
  throw error;
}
