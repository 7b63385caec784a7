import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../process/failure';
import { readJson, writeJson } from '../process/json-file';

/** What is made at the first start and must be there again at every later one; kept with mode 0600. */
export interface Secrets {
  readonly postgresPassword: string;
  readonly redisPassword: string;
  /** MILLRACE_SECRET_KEYS for API and worker. */
  readonly secretKeys: string;
  /** The admin key made in a database, if this data folder saw it being made. */
  adminKeyOf(database: string): string | null;
  keepAdminKey(database: string, key: string): void;
}

interface SecretsFile {
  postgres_password: string;
  redis_password: string;
  secret_keys: string;
  admin_keys: Record<string, string>;
}

export function openSecrets(dataFolder: string): Secrets {
  const file = path.join(dataFolder, 'secrets.json');
  const kept = readJson(file) as Partial<SecretsFile> | null;
  if (!kept && existsSync(file)) {
    // Making new ones would lock us out of the data that the old ones open.
    throw new StartFailure(`${file} can't be read; it holds the keys of this data folder`);
  }
  const secrets: SecretsFile = {
    postgres_password: kept?.postgres_password ?? randomBytes(18).toString('hex'),
    redis_password: kept?.redis_password ?? randomBytes(18).toString('hex'),
    secret_keys: kept?.secret_keys ?? randomBytes(32).toString('base64'),
    admin_keys: kept?.admin_keys ?? {},
  };
  writeJson(file, secrets);
  return {
    postgresPassword: secrets.postgres_password,
    redisPassword: secrets.redis_password,
    secretKeys: secrets.secret_keys,
    adminKeyOf: (database) => secrets.admin_keys[database] ?? null,
    keepAdminKey: (database, key) => {
      secrets.admin_keys[database] = key;
      writeJson(file, secrets);
    },
  };
}

/**
 * A name for a database under which its admin key is kept: the data folder's own, or that at a DATABASE_URL (by a
 * hash without the password, which may change).
 */
export function databaseName(databaseUrl: string | null): string {
  if (databaseUrl === null) return 'own';
  const { host, pathname } = new URL(databaseUrl);
  return createHash('sha256').update(`${host}${pathname}`).digest('hex').slice(0, 16);
}
