import { Redis } from 'ioredis';
import { StartFailure } from '../../tools/process/failure';
import { withClient } from '../../tools/servers/postgres';
import type { DevFacts } from '../../tools/start/dev-json';

export interface ServerFacts {
  readonly postgres: Readonly<Record<string, string>>;
  readonly redis: Readonly<Record<string, string>>;
  readonly temporal: { readonly version: string };
}

const postgresSettings = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
];
const redisSettings = ['appendonly', 'appendfsync', 'maxmemory-policy'];

/** What keeps data over a crash; a bench without it would measure another product than the one people run. */
const durable = {
  postgres: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' },
  redis: { appendonly: 'yes', appendfsync: 'everysec' },
};

/** Asks the servers what they are; rejects when they would lose what they have acknowledged. */
export async function readServerFacts(facts: DevFacts): Promise<ServerFacts> {
  const [postgres, redis, temporal] = await Promise.all([
    postgresFacts(facts.database_url),
    redisFacts(facts.redis_url),
    temporalFacts(facts.temporal_ui_url),
  ]);
  demand('PostgreSQL', postgres, durable.postgres);
  demand('Redis', redis, durable.redis);
  return { postgres, redis, temporal };
}

export function serverLines({ postgres, redis, temporal }: ServerFacts): string[] {
  return [
    `Servers   PostgreSQL ${postgres.server_version} (fsync, synchronous_commit and full_page_writes on), ` +
      `Redis ${redis.version} (AOF, ${redis.appendfsync}), Temporal ${temporal.version} (development server, SQLite file)`,
  ];
}

function demand(
  server: string,
  found: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): void {
  for (const [name, value] of Object.entries(wanted)) {
    if (found[name] !== value) {
      throw new StartFailure(`${server} runs with ${name}=${found[name]}; the bench wants ${value}`);
    }
  }
}

async function postgresFacts(url: string): Promise<Record<string, string>> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string; value: string }>(
      'select name, current_setting(name) as value from pg_settings where name = any($1)',
      [postgresSettings],
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  });
}

async function redisFacts(url: string): Promise<Record<string, string>> {
  const client = new Redis(url, { maxRetriesPerRequest: 1 });
  try {
    const [, version = 'unknown'] = /^redis_version:(\S+)/m.exec(await client.info('server')) ?? [];
    const found: Record<string, string> = { version };
    for (const name of redisSettings) {
      const [, value = ''] = (await client.config('GET', name)) as string[];
      found[name] = value;
    }
    return found;
  } finally {
    client.disconnect();
  }
}

async function temporalFacts(uiUrl: string | null): Promise<{ version: string }> {
  const response = await fetch(`${uiUrl}/api/v1/cluster-info`);
  const { serverVersion } = (await response.json()) as { serverVersion?: string };
  return { version: serverVersion ?? 'unknown' };
}
