/** Runs what is new of `migrations/*.sql`, forward only, one transaction each; several at once wait for one another. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { runner } from 'node-pg-migrate';

export interface MigrateOptions {
  databaseUrl: string;
  log: { info(fields: object, message: string): void; error(fields: object, message: string): void };
}

/** @returns names of the migrations that ran now */
export async function migrate({ databaseUrl, log }: MigrateOptions): Promise<string[]> {
  const quiet = (): void => undefined;
  const ran = await runner({
    databaseUrl: { connectionString: databaseUrl, application_name: 'millrace migrate' },
    dir: migrationsDir(),
    direction: 'up',
    migrationsTable: 'migrations',
    advisoryLockMode: 'wait',
    singleTransaction: false,
    checkOrder: true,
    logger: {
      debug: quiet,
      info: quiet,
      warn: (message: string) => log.info({ message }, 'migration warning'),
      error: (message: string) => log.error({ message }, 'migration error'),
    },
  });
  for (const { name } of ran) log.info({ migration: name }, 'migrated');
  return ran.map(({ name }) => name);
}

/** The compiler leaves .sql files behind, so the compiled program finds them in the sources it was compiled from. */
function migrationsDir(): string {
  const places = [
    path.join(__dirname, 'migrations'),
    path.resolve(__dirname, '../../../../src/platform/postgres/migrations'),
  ];
  const found = places.find((place) => existsSync(place));
  if (found === undefined) throw new Error(`No migrations in ${places.join(' or ')}`);
  return found;
}
