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

/** Whoever else wants to hear of changes; see `followChanges`. */
export interface ChangeListener {
  changed(subjects: ReadonlySet<string>): void;
  doubtAll(): void;
}

export interface Access {
  keys: KeyCache;
  alsoTell(listener: ChangeListener): void;
}

export function openAccess(setting: Setting<ApiConfig>, { database }: Pick<Common, 'database'>): Access {
  const { log, lifecycle } = setting;
  // A connection of its own: while all others are taken, what was revoked must still stop.
  const followed = openDatabase(setting, { name: 'access', max: 1, statementTimeoutMs: READ_TIMEOUT_MS });
  const cache = createKeyCache({
    lookup: createKeyLookup(database),
    knownUntil: () => follower.knownUntil(),
    monotonicMs,
  });
  const listeners: ChangeListener[] = [{ changed: cache.doubt, doubtAll: cache.doubtAll }];
  const follower = followChanges({
    feed: createAccessLog(followed),
    onChanges: (subjects) => {
      for (const one of listeners) one.changed(subjects);
    },
    onGap: () => {
      for (const one of listeners) one.doubtAll();
    },
    monotonicMs,
    random: Math.random,
    log,
  });
  lifecycle.onClose('changes to API keys', () => follower.close());
  return { keys: cache, alsoTell: (listener) => void listeners.push(listener) };
}
