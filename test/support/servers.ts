import { randomBytes } from 'node:crypto';
import { Client } from 'pg';

/** The servers that Jest's global set-up started; shared by all test files. */
export interface TestServers {
  /** Superuser's URL of the database `postgres`; tests use `createTestDatabase` for their own. */
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** host:port of the frontend; namespace `default`. Use task queues and workflow ids of your own. */
  readonly temporalAddress: string;
  readonly temporalUiUrl: string;
  /** Path of the Temporal CLI, for tests that start a server of their own. */
  readonly temporalBinary: string;
}

export interface TestDatabase {
  readonly url: string;
  /** Drops it, with whatever connections are left. */
  drop(): Promise<void>;
}

export function testServers(): TestServers {
  return {
    databaseUrl: fact('MILLRACE_TEST_DATABASE_URL'),
    redisUrl: fact('MILLRACE_TEST_REDIS_URL'),
    temporalAddress: fact('MILLRACE_TEST_TEMPORAL_ADDRESS'),
    temporalUiUrl: fact('MILLRACE_TEST_TEMPORAL_UI_URL'),
    temporalBinary: fact('MILLRACE_TEST_TEMPORAL_BIN'),
  };
}

/** A fully migrated, empty database for one test file: a clone of the template. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const { databaseUrl } = testServers();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await execute(databaseUrl, `create database ${name} template ${fact('MILLRACE_TEST_DATABASE_TEMPLATE')}`);
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => {
      await execute(databaseUrl, `drop database if exists ${name} with (force)`);
    },
  };
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function fact(name: string): string {
  const value = process.env[name];
  if (!value) {
    throw new Error(`${name} is not set: tests outside test/unit run under Jest's global set-up`);
  }
  return value;
}
