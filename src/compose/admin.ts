/** The commands of an operator on the server, who needs no key: only the database. */
import type { AdminCommands } from '../admin';
import { issueKey } from '../api/key/issue-key';
import { toKeyBody } from '../api/key/key-body';
import { requireAdminLeft } from '../api/key/last-admin';
import { existing } from '../api/key/visible';
import { AppError } from '../domain/errors';
import { UNBOUND } from '../domain/key/key-bounds';
import { FIRST_PLAN } from '../domain/key/plans';
import { newId } from '../platform/clock';
import type { Config } from '../platform/config';
import { createTransact, type PostgresStores } from '../platform/postgres/stores';
import { createKeyMint } from '../platform/secrets/key-mint';
import { openDatabase, type Setting } from './parts';

const FIRST_TENANT = { name: 'default', plan: FIRST_PLAN };
const LISTED_MAX = 1_000;

export function composeAdmin(setting: Setting<Config>): AdminCommands {
  const transact = createTransact(openDatabase(setting, { name: 'main', max: 1 }));
  const issuing = { mint: createKeyMint(), newKeyId: (): string => newId('key') };
  return {
    bootstrap: () =>
      transact(async ({ tenants, keys }) => {
        if (!(await tenants.lockWhileNone())) return {};
        const tenant = await tenants.insert({ id: newId('tenant'), ...FIRST_TENANT });
        const first = { name: 'first admin key', scopes: ['admin'], bounds: UNBOUND } as const;
        const { secret } = await issueKey({ ...issuing, keys }, { tenantId: tenant.id, ...first });
        return { tenant_id: tenant.id, admin_key: secret };
      }),

    createKey: ({ tenantId, expiresAt, ...wish }) =>
      transact(async ({ tenants, keys }) => {
        const tenant = await tenantOr(tenants, tenantId);
        const bounds = { ...UNBOUND, expires_at: expiresAt };
        const { key, secret } = await issueKey({ ...issuing, keys }, { ...wish, tenantId: tenant, bounds });
        return { key_id: key.id, key: secret };
      }),

    listKeys: ({ tenantId }) =>
      transact(async ({ tenants, keys }) => {
        const page = { tenantId: await tenantOr(tenants, tenantId), limit: LISTED_MAX };
        return { data: (await keys.list(page)).map(toKeyBody) };
      }),

    revokeKey: (keyId) =>
      transact(async ({ keys, access }) => {
        await access.changed(keyId);
        const key = existing(await keys.findAnywhere(keyId));
        await requireAdminLeft(keys, { before: key, after: undefined });
        await keys.revoke({ tenantId: key.tenant_id, keyId });
        return { key_id: keyId, revoked: true };
      }),
  };
}

/** The tenant of this id; where none is named, the one that was there first. @throws AppError `not_found` */
async function tenantOr(
  { find, oldest }: PostgresStores['tenants'],
  tenantId: string | undefined,
): Promise<string> {
  const id = tenantId ?? (await oldest());
  if (id === undefined)
    throw new AppError('not_found', 'There is no tenant yet: `admin bootstrap` makes one.');
  if ((await find(id)) === undefined) throw new AppError('not_found', 'There is no tenant with this id.');
  return id;
}
