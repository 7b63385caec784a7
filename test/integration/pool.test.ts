import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { statement } from '../../src/platform/postgres/statement';
import { createTestDatabase, type TestDatabase } from '../support/servers';
import { type StallingProxy, startStallingProxy } from '../support/stalling-proxy';
import { until } from '../support/wait';

const BACKEND = statement<{ pid: number }>('test.backend', 'select pg_backend_pid() as pid');
const PATIENCE = statement('test.patience', 'set local statement_timeout = 20000');
/** Longer than a pool of `STATEMENT_TIMEOUT_MS` waits for an answer by itself. */
const SLOW = { ...statement('test.slow', 'select from pg_sleep(6)'), timeoutMs: 20_000 };

const STATEMENT_TIMEOUT_MS = 100;

describe('the pool', () => {
  let database: TestDatabase;
  let proxy: StallingProxy;
  const pools: PostgresDatabase[] = [];

  /** One connection: what is not given up is used again. */
  const open = (port?: number): PostgresDatabase => {
    const url = new URL(database.url);
    if (port !== undefined) url.port = String(port);
    const pool = createDatabase({
      url: url.href,
      max: 1,
      applicationName: 'test',
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      onIdleError: () => undefined,
    });
    pools.push(pool);
    return pool;
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    const { hostname, port } = new URL(database.url);
    proxy = await startStallingProxy({ host: hostname, port: Number(port) });
  });
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
  afterAll(async () => {
    await proxy.close();
    await database.drop();
  });

  test('a connection that died without a reset fails its statement as dependency_unavailable, and is given up', async () => {
    const [single, transacting] = [open(proxy.port), open(proxy.port)];
    await Promise.all([single.run(BACKEND), transacting.run(BACKEND)]);
    proxy.stall();
    const failures = await Promise.allSettled([
      single.run(BACKEND),
      transacting.transaction((tx) => tx.run(BACKEND)),
    ]);
    const away = { status: 'rejected', reason: expect.objectContaining({ code: 'dependency_unavailable' }) };
    expect(failures).toEqual([away, away]);
    await until('both dead connections are closed', () => proxy.open === 0);
    expect(await single.run(BACKEND)).toEqual([{ pid: expect.any(Number) }]);
    expect(await transacting.transaction((tx) => tx.run(BACKEND))).toEqual([{ pid: expect.any(Number) }]);
  });

  test('one that dies within a transaction is given up without a rollback that nobody would answer', async () => {
    const pool = open(proxy.port);
    let unanswered = false;
    const dying = pool.transaction(async (tx) => {
      await tx.run(BACKEND);
      proxy.stall();
      await tx.run(BACKEND).finally(() => {
        unanswered = true;
      });
    });
    const died = expect(dying).rejects.toMatchObject({ code: 'dependency_unavailable' });
    await until('the statement to fail', () => unanswered);
    // A rollback would hold it open for another 5.1 s.
    await until('the dead connection to be closed', () => proxy.open === 0, 4_000);
    await died;
    expect(await pool.run(BACKEND)).toEqual([{ pid: expect.any(Number) }]);
  });

  test.each([
    ['by itself', (pool: PostgresDatabase) => pool.run(SLOW)],
    ['in a transaction', (pool: PostgresDatabase) => pool.transaction((tx) => tx.run(SLOW))],
  ])('a statement past its time limit fails as dependency_unavailable, %s', async (_where, run) => {
    const pool = open();
    const failure: unknown = await run(pool).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      ...{ code: 'dependency_unavailable', detail: 'The database took too long.', retryAfterSeconds: 1 },
      cause: { code: '57014' },
    });
    expect(await pool.run(BACKEND)).toHaveLength(1);
  });

  test('a statement with a limit of its own is waited for as long as that', async () => {
    const slow = open().transaction(async (tx) => {
      await tx.run(PATIENCE);
      return tx.run(SLOW);
    });
    expect(await slow).toHaveLength(1);
  });
});
