/** What every change of a key begins with. */
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import type { Stores } from '../ports';
import type { Answer } from '../respond';
import { type Giver, giverOf } from './escalation';
import type { ApiKey, KeyRef } from './ports';
import { visibleKey } from './visible';

export interface KeyChange {
  stores: Pick<Stores, 'keys' | 'access'>;
  principal: Principal;
}

interface Found {
  key: ApiKey;
  ref: KeyRef;
  giver: Giver;
}

/**
 * Tells the change first, so that what is read after is what no other change can alter any more.
 * @throws AppError `not_found`
 */
export async function changeKey(
  { stores, principal }: KeyChange,
  keyId: string,
  change: (found: Found) => Promise<Answer>,
): Promise<Answer> {
  // What can't be changed must not make the changes of others wait.
  await visibleKey(stores.keys, principal, keyId);
  await stores.access.changed(keyId);
  const giver = await giverOf(stores.keys, principal);
  const key = await visibleKey(stores.keys, principal, keyId);
  return change({ key, ref: { tenantId: key.tenant_id, keyId: key.id }, giver });
}

/** @throws AppError `key_not_active` */
export function requireActive({ status }: ApiKey): void {
  if (status === 'active') return;
  const what = status === 'expired' ? 'has expired' : 'was revoked';
  throw new AppError('key_not_active', `This key ${what}, and cannot change any more.`);
}
