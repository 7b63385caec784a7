/**
 * What this process remembers of API keys, by the SHA-256 of the key. A key is believed for as long as every change up to a
 * second ago is known, from the log of changes or because it was looked up since; so whatever happens, one that was revoked
 * stops within that second. Texts that are no key are remembered apart, so that trying many pushes out no real one.
 */
import { LRUCache } from 'lru-cache';
import type { Principal } from '../../domain/key/scopes';
import { addressFilter } from '../../domain/net/cidr';
import type { KeyLookup, KnownKey } from './ports';

export interface RecognisedKey {
  /** SHA-256 in hex */
  hash: string;
  known: KnownKey;
  principal: Principal;
  /** Whether it may be used from there. */
  admits(address: string): boolean;
  /** Whether the end of the key, or of the very secret, has come: by the clock of the database, whatever the one here says. */
  hasEnded(): boolean;
}

export interface KeyCache {
  /** null: there is no such key; undefined: it must be looked up. */
  peek(hash: string): RecognisedKey | null | undefined;
  /** Whether there was such a key when last looked, however long ago. */
  wasReal(hash: string): boolean;
  /** Whether to look it up now would only be to wait for somebody else's look-up. */
  isUnderWay(hash: string): boolean;
  /** At most one look-up of a key at a time. null: there is no such key. */
  lookUp(hash: string): Promise<RecognisedKey | null>;
  /** What is remembered of them must be looked up anew. @param subjects `key_…`, `tnt_…`, `plan/…` */
  doubt(subjects: ReadonlySet<string>): void;
  doubtAll(): void;
}

export interface KeyCacheDeps {
  lookup: KeyLookup;
  /** Every change that was committed before this moment has been told; ms as of `monotonicMs`. */
  knownUntil(): number;
  /** ms; never goes back */
  monotonicMs(): number;
  /** entries of each kind at most */
  max?: number;
}

const MAX = 10_000;
const TTL_MS = 60_000;
/** Of the second within which a revoked key must stop, the rest is for the request to be answered. */
const TRUST_MS = 900;
/** Who comes later than this begins a look-up anew: one that hangs must not answer with what was true long ago. */
const JOIN_MS = 500;

export function createKeyCache({ max = MAX, ...deps }: KeyCacheDeps): KeyCache {
  const memory = createMemory({ ...deps, max });
  const flights = new Map<string, Flight>();
  /** Grows with every change: what began to be looked up before it may be from before it. */
  let changes = 0;

  const fetch = async (hash: string, startedAt: number): Promise<RecognisedKey | null> => {
    const changesBefore = changes;
    const known = await deps.lookup.findByHash(Buffer.from(hash, 'hex'));
    const key =
      known === undefined ? null : recognised(known, { hash, startedAt, monotonicMs: deps.monotonicMs });
    if (changes === changesBefore) memory.remember(hash, key, startedAt);
    return key;
  };

  const joinable = (hash: string, now: number): Flight | undefined => {
    const running = flights.get(hash);
    return running !== undefined && now - running.startedAt <= JOIN_MS ? running : undefined;
  };

  const changed = (): void => {
    changes += 1;
    flights.clear();
  };

  return {
    peek: memory.peek,
    wasReal: memory.wasReal,
    isUnderWay: (hash) => joinable(hash, deps.monotonicMs()) !== undefined,
    lookUp: (hash) => {
      const startedAt = deps.monotonicMs();
      const running = joinable(hash, startedAt);
      if (running !== undefined) return running.found;
      const flight: Flight = { startedAt, found: fetch(hash, startedAt) };
      flights.set(hash, flight);
      const landed = (): void => void (flights.get(hash) === flight && flights.delete(hash));
      flight.found.then(landed, landed);
      return flight.found;
    },
    doubt: (subjects) => {
      changed();
      memory.doubt(subjects);
    },
    doubtAll: () => {
      changed();
      memory.doubtAll();
    },
  };
}

interface Flight {
  startedAt: number;
  found: Promise<RecognisedKey | null>;
}

interface Entry {
  key: RecognisedKey;
  lookedUpAt: number;
  until: number;
}

type MemoryDeps = Pick<KeyCacheDeps, 'knownUntil' | 'monotonicMs'> & { max: number };

function createMemory({ knownUntil, monotonicMs, max }: MemoryDeps) {
  const real = new LRUCache<string, Entry>({ max });
  /** to when each was looked up */
  const unknown = new LRUCache<string, number>({ max });

  const isTrusted = (entry: Entry, now: number): boolean =>
    now < entry.until && now - Math.max(knownUntil(), entry.lookedUpAt) <= TRUST_MS;

  return {
    peek: (hash: string): RecognisedKey | null | undefined => {
      const now = monotonicMs();
      const entry = real.get(hash);
      if (entry !== undefined) return isTrusted(entry, now) ? entry.key : undefined;
      const lookedUpAt = unknown.get(hash);
      return lookedUpAt !== undefined && now - lookedUpAt < TTL_MS ? null : undefined;
    },
    wasReal: (hash: string): boolean => real.has(hash),
    remember: (hash: string, key: RecognisedKey | null, lookedUpAt: number): void => {
      if (key === null) {
        real.delete(hash);
        unknown.set(hash, lookedUpAt);
        return;
      }
      if ((real.peek(hash)?.lookedUpAt ?? Number.NEGATIVE_INFINITY) > lookedUpAt) return;
      const ttlMs = Math.min(TTL_MS, key.known.planChangesInMs ?? TTL_MS);
      real.set(hash, { key, lookedUpAt, until: lookedUpAt + ttlMs });
      unknown.delete(hash);
    },
    /** They stay known as real. */
    doubt: (subjects: ReadonlySet<string>): void => {
      for (const entry of real.values()) if (concerns(entry.key, subjects)) entry.until = 0;
    },
    doubtAll: (): void => {
      unknown.clear();
      for (const entry of real.values()) entry.until = 0;
    },
  };
}

function concerns({ known }: RecognisedKey, subjects: ReadonlySet<string>): boolean {
  return subjects.has(known.keyId) || subjects.has(known.tenantId) || subjects.has(`plan/${known.plan.name}`);
}

interface LookedUp {
  hash: string;
  /** before the database was asked, so that no end comes later than by its clock */
  startedAt: number;
  monotonicMs(): number;
}

function recognised(known: KnownKey, { hash, startedAt, monotonicMs }: LookedUp): RecognisedKey {
  const { keyId, tenantId, tenantName, plan, scopes, limits } = known;
  return {
    hash,
    known,
    principal: { keyId, tenantId, tenantName, plan, scopes, limits },
    admits: addressFilter(known.allowedCidrs),
    hasEnded: known.endsInMs === null ? never : endingAt(startedAt + known.endsInMs, monotonicMs),
  };
}

const never = (): boolean => false;

function endingAt(endsAt: number, monotonicMs: () => number): () => boolean {
  return () => monotonicMs() >= endsAt;
}
