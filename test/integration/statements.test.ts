import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from 'pg';
import type { Statement } from '../../src/platform/postgres/statement';
import { createTestDatabase, type TestDatabase } from '../support/servers';

const FOLDER = path.join(__dirname, '../../src/platform/postgres');
const modules = readdirSync(FOLDER).filter((file) => file.endsWith('.ts'));

/** Tables that grow with use: a plan that reads one of them whole has no index behind it. */
const GROWING =
  /Seq Scan on (jobs|items\w*|results\w*|chunks|events|outbox|api_keys|idempotency_keys|usage_\w+|quota_months|instances|tenants|subscriptions|job_remains|stream_tickets|notifications|notification_rules|notification_queue|event_types|event_keys|broadcasts)\b/;

const statements = modules.flatMap((file) => {
  const exported: Record<string, unknown> = jest.requireActual(path.join(FOLDER, file));
  return Object.values(exported).flatMap(statementsIn);
});

function statementsIn(value: unknown): Statement<unknown>[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('name' in value && 'text' in value) return [value as Statement<unknown>];
  return Object.values(value).flatMap(statementsIn);
}

describe('SQL statements', () => {
  let database: TestDatabase;
  let client: Client;

  beforeAll(async () => {
    database = await createTestDatabase();
    client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query('set enable_seqscan = off');
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  test('each is exported, so that none escapes this test, and no two have one name', () => {
    for (const file of modules) {
      const source = readFileSync(path.join(FOLDER, file), 'utf8');
      expect({ file, hidden: source.match(/^(?:const|let) \w+ = statement/gm) ?? [] }).toEqual({
        file,
        hidden: [],
      });
    }
    const names = statements.map((s) => s.name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(names.length).toBeGreaterThan(40);
  });

  test.each(statements.map((s) => [s.name, s] as const))(
    '%s has an index behind it',
    async (_name, { text }) => {
      if (/^\s*(set|copy)\b/i.test(text)) return;
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain (generic_plan) ${text}`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toMatch(GROWING);
    },
  );
});
