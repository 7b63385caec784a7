/** Which keys and tenants an asker may see. What it may not see answers like what is not there. */
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import type { TenantStore } from '../tenant/ports';
import { existing as existingTenant, maySee } from '../tenant/visible';
import type { ApiKey, KeyStore } from './ports';

type Finder = Pick<KeyStore, 'find' | 'findAnywhere'>;

/** One of the asker's own tenant; with `admin`, any. @throws AppError `not_found` */
export async function visibleKey(keys: Finder, asker: Principal, keyId: string): Promise<ApiKey> {
  const key = asker.scopes.includes('admin')
    ? await keys.findAnywhere(keyId)
    : await keys.find({ tenantId: asker.tenantId, keyId });
  return existing(key);
}

export function existing(key: ApiKey | undefined): ApiKey {
  if (key === undefined) throw new AppError('not_found', 'There is no key with this id.');
  return key;
}

/**
 * Without `admin`, another tenant's id answers like one that no tenant has: a key must not find out who else is here.
 * @throws AppError `not_found`
 */
export async function requireTenant(
  tenants: Pick<TenantStore, 'find'>,
  asker: Principal,
  tenantId: string,
): Promise<void> {
  if (tenantId === asker.tenantId) return;
  existingTenant(maySee(asker, tenantId) ? await tenants.find(tenantId) : undefined);
}
