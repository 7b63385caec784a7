/**
 * A key gives nothing that it has not: neither scopes nor time or addresses. Limits of its own it can't give at all: each key has a
 * count of its own, so two keys with the limits of one may do twice as much. One with `admin` gives all.
 */
import { AppError } from '../../domain/errors';
import { boundsBeyond, type KeyBounds, UNBOUND } from '../../domain/key/key-bounds';
import { type Principal, type Scope, scopesBeyond } from '../../domain/key/scopes';
import type { ApiKey, KeyStore } from './ports';

export interface Giver {
  /**
   * A key with limits of its own may change itself, for its count stays the same.
   * @param keyId of the key that is changed; undefined: a new one. @throws AppError `limited_key`
   */
  requireUnlimited(keyId?: string): void;
  /** @throws AppError `scope_escalation` */
  requireScopes(wanted: readonly Scope[]): void;
  /** What is left out is not looked at. @throws AppError `scope_escalation` */
  requireBounds(wanted: Partial<KeyBounds>): void;
  /** Of a new key, where its maker says nothing. */
  bounds: KeyBounds;
}

/**
 * The key that asks, as it stands in this transaction: what it was when the request came may have been taken from it since.
 * @throws AppError `key_revoked` where it is no more
 */
export async function giverOf(keys: Pick<KeyStore, 'find'>, { tenantId, keyId }: Principal): Promise<Giver> {
  const key = await keys.find({ tenantId, keyId });
  if (key === undefined || key.status !== 'active') {
    throw new AppError('key_revoked', 'This API key was revoked while the request ran.');
  }
  return {
    requireUnlimited: (changed) => requireUnlimited(key, changed),
    requireScopes: (wanted) => requireScopes(key, wanted),
    requireBounds: (wanted) => requireBounds(key, wanted),
    bounds: key.scopes.includes('admin') ? UNBOUND : key,
  };
}

function requireUnlimited(giver: ApiKey, changed: string | undefined): void {
  const isLimited = giver.requests_per_minute !== null || giver.requests_per_day !== null;
  if (!isLimited || giver.id === changed || giver.scopes.includes('admin')) return;
  const detail =
    'This key has limits of its own. Other keys that it made or changed could be used beside it, past those limits.';
  throw new AppError('limited_key', detail);
}

function requireScopes(giver: ApiKey, wanted: readonly Scope[]): void {
  const beyond = scopesBeyond(giver.scopes, wanted);
  if (beyond.length > 0) {
    throw new AppError('scope_escalation', `This key can't grant what it lacks: ${beyond.join(', ')}.`);
  }
}

function requireBounds(giver: ApiKey, wanted: Partial<KeyBounds>): void {
  const beyond = giver.scopes.includes('admin') ? [] : boundsBeyond(giver, wanted);
  if (beyond.length > 0) {
    throw new AppError(
      'scope_escalation',
      `This key can't give more than it has itself: ${beyond.join(', ')}.`,
    );
  }
}
