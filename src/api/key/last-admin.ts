/** The last key that can let others in is not given away by accident. */
import { AppError } from '../../domain/errors';
import type { ApiKey, KeyStore } from './ports';

/**
 * What a key is to become; in the transaction that makes it so, after the change was told to the log of changes: of two that
 * would each take one of the last two away, the second then sees what the first has done. To keep one inside some addresses is
 * allowed.
 * @param after undefined: revoked
 * @throws AppError `last_admin_key`
 */
export async function requireAdminLeft(
  keys: Pick<KeyStore, 'otherAdmins'>,
  { before, after }: { before: ApiKey; after: Pick<ApiKey, 'scopes' | 'expires_at'> | undefined },
): Promise<void> {
  if (!before.scopes.includes('admin') || before.status !== 'active') return;
  const stays = after?.scopes.includes('admin') === true;
  if (stays && after.expires_at === null) return;
  const others = await keys.otherAdmins(before.id);
  if (others.lasting) return;
  // Where every key with `admin` has an end already, one that lives is what there is to keep.
  if (before.expires_at !== null && (stays || others.any)) return;
  throw new AppError('last_admin_key', 'No other key with `admin` would be left that has no end.');
}
