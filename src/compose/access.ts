/** How an API process recognises keys: what it remembers of them, and how it hears of changes. */
import { followChanges } from '../api/access/follow-changes';
import { createKeyCache, type KeyCache } from '../api/access/key-cache';
import type { ApiConfig } from '../platform/config';
import { createAccessLog } from '../platform/postgres/access-log';
import { createKeyLookup } from '../platform/postgres/key-lookup';
import { type Common, openDatabase, type Setting } from './parts';

/** A read that takes longer is given up, so that the next one can do better. */
const READ_TIMEOUT_MS = 2_000;

const monotonicMs = (): number => performance.now();

export function openKeyCache(setting: Setting<ApiConfig>, { database }: Pick<Common, 'database'>): KeyCache {
  const { log, lifecycle } = setting;
  // A connection of its own: while all others are taken, what was revoked must still stop.
  const followed = openDatabase(setting, { name: 'access', max: 1, statementTimeoutMs: READ_TIMEOUT_MS });
  const cache = createKeyCache({
    lookup: createKeyLookup(database),
    knownUntil: () => follower.knownUntil(),
    monotonicMs,
  });
  const follower = followChanges({
    feed: createAccessLog(followed),
    onChanges: cache.doubt,
    onGap: cache.doubtAll,
    monotonicMs,
    random: Math.random,
    log,
  });
  lifecycle.onClose('changes to API keys', () => follower.close());
  return cache;
}
