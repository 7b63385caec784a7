import { createDatabase, type PostgresDatabase } from '../../src/platform/postgres/pool';
import { newId } from '../../src/platform/clock';
import { decodeId } from '../../src/domain/ids';
import { createTestDatabase } from './servers';

/** A migrated database of one test file, with a pool on it. */
export async function openTestDatabase(): Promise<{
  db: PostgresDatabase;
  url: string;
  close(): Promise<void>;
}> {
  const database = await createTestDatabase();
  const db = createDatabase({
    url: database.url,
    max: 10,
    applicationName: 'test',
    onIdleError: () => undefined,
  });
  return {
    db,
    url: database.url,
    close: async () => {
      await db.close();
      await database.drop();
    },
  };
}

export async function insertTenant(db: PostgresDatabase, plan = 'unlimited'): Promise<string> {
  const id = newId('tenant');
  await db.run(
    {
      name: 'test.tenant',
      text: `with made as (insert into tenants (id, name) values ($1, 'test') returning id)
        insert into subscriptions (tenant_id, plan, valid_from) select id, $2, now() from made`,
    },
    [decodeId('tenant', id), plan],
  );
  return id;
}
