/** The pool of PostgreSQL connections, and the mapping of its failures onto the error catalogue. */
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { AppError, isAppError } from '../../domain/errors';
import type { Database, Queryable, Statement, Transaction } from './statement';

export interface PoolOptions {
  url: string;
  /** connections at most */
  max: number;
  applicationName: string;
  /** 0: none, neither here nor in PostgreSQL; 30 s when left out */
  statementTimeoutMs?: number;
  onIdleError(error: Error): void;
}

export interface PostgresDatabase extends Database {
  /** For COPY and LISTEN, which need a connection of their own; hand it back by `release`. */
  connect(): Promise<PoolClient>;
  close(): Promise<void>;
}

const STATEMENT_TIMEOUT_MS = 30_000;
/**
 * PostgreSQL ends a statement at its timeout and says so. What is still silent this much later is a connection that died
 * without a reset; TCP by itself goes on sending into it for a quarter of an hour.
 */
const SILENCE_MS = 5_000;

/**
 * A prepared statement's generic plan is made once for a connection, from the size that the tables have then: one made while
 * they were almost empty reads millions of rows one after the other later on. Planning anew costs a fraction of a millisecond.
 */
const PLAN_BY_VALUES = '-c plan_cache_mode=force_custom_plan';

export function createDatabase(options: PoolOptions): PostgresDatabase {
  const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
  const config: PoolConfig = {
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    options: PLAN_BY_VALUES,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    maxLifetimeSeconds: 1_800 + Math.floor(Math.random() * 300),
    statement_timeout: statementTimeoutMs,
    ...(statementTimeoutMs > 0 && { query_timeout: statementTimeoutMs + SILENCE_MS }),
    idle_in_transaction_session_timeout: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
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
    const { name, text, timeoutMs } = stmt;
    const result = await runner.query({
      text,
      values: [...values],
      ...(stmt.prepared !== false && { name }),
      ...(timeoutMs !== undefined && { query_timeout: timeoutMs + SILENCE_MS }),
    });
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
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  const client = await connect();
  let broken: Error | undefined;
  try {
    await client.query('begin');
    const result = await work({
      run: (stmt, values) => execute(client, stmt, values),
      copyIn: (stmt, rows) => copyIn(client, stmt, rows),
    });
    await client.query('commit');
    return result;
  } catch (error) {
    broken = await rollBack(client, error);
    return rethrow(error);
  } finally {
    client.release(broken);
  }
}

function copyIn(client: PoolClient, { text }: Statement<unknown>, rows: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const copy = client.query(copyFrom(text));
    copy.on('error', reject);
    copy.on('finish', () => resolve(copy.rowCount));
    copy.end(rows);
  });
}

/** @returns why the connection is dead, if it is: destroy it then rather than hand it to the next one */
async function rollBack(client: PoolClient, error: unknown): Promise<Error | undefined> {
  const silence = silenceIn(error);
  // It would only queue up behind the statement that got no answer, and wait as long again.
  if (silence !== undefined) return silence;
  return client.query('rollback').then(
    () => undefined,
    (cause: Error) => cause,
  );
}

const SILENCE_MESSAGE = 'Query read timeout';

/** The client's own timeout, as it came or as the cause of what `rethrow` made of it. */
function silenceIn(error: unknown): Error | undefined {
  const origin = isAppError(error) ? error.cause : error;
  return origin instanceof Error && origin.message === SILENCE_MESSAGE ? origin : undefined;
}

/** Classes 08 (connection), 53 (resources), 57P (shutdown, cancel) and the socket's own codes: PostgreSQL is away. */
const AWAY = /^(08|53|57P|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)/;
const AWAY_MESSAGE =
  /timeout exceeded when trying to connect|Connection terminated|Client has encountered a connection error/;

/** query_canceled: what PostgreSQL says at `statement_timeout`. */
const TIMED_OUT = '57014';
/** lock_not_available: what it says at `lock_timeout`. */
const LOCKED = '55P03';
const DEADLOCK = '40P01';

/**
 * Errors of the data keep their SQLSTATE: the chunk store and the summary tell by it whose fault a failure is. Nor are they
 * mapped to `not_storable` for the API's sake: body, URL and items are all checked before they get here, so one that comes
 * through is a gap in our own checks, and must be seen as that.
 * @throws AppError `dependency_unavailable` where PostgreSQL is away or too slow, with what it said as the cause; any other
 *   error as it came.
 */
export function rethrow(error: unknown): never {
  if (isAppError(error) || !(error instanceof Error)) throw error;
  const code = 'code' in error ? String(error.code) : '';
  if (code === TIMED_OUT || code === LOCKED) throw unavailable('The database took too long.', error);
  if (code === DEADLOCK)
    throw unavailable('The database broke off what stood in the way of something else.', error);
  if (AWAY.test(code) || AWAY_MESSAGE.test(error.message) || silenceIn(error) !== undefined) {
    throw unavailable('The database is away.', error);
  }
  throw error;
}

function unavailable(detail: string, cause: Error): AppError {
  return new AppError('dependency_unavailable', detail, { cause, retryAfterSeconds: 1 });
}
