import { createKeyCache, type KeyCache } from '../../src/api/access/key-cache';
import type { KnownKey } from '../../src/api/access/ports';
import { knownKey } from '../support/principal';

const MINUTE_MS = 60_000;
const hashOf = (n: number): string => n.toString(16).padStart(64, '0');
const HASH = hashOf(1);

/** A cache whose clock stands still, and whose look-ups end when the test says so. */
function open({ max }: { max?: number } = {}) {
  const asked: { hash: string; answer(key: KnownKey | undefined): void; fail(error: Error): void }[] = [];
  const state = { now: 1_000_000, knownUntil: 1_000_000 };
  const cache = createKeyCache({
    lookup: {
      findByHash: (hash) =>
        new Promise((answer, fail) => asked.push({ hash: Buffer.from(hash).toString('hex'), answer, fail })),
    },
    knownUntil: () => state.knownUntil,
    monotonicMs: () => state.now,
    ...(max !== undefined && { max }),
  });
  /** Looks up at once. */
  const learn = async (hash: string, key: KnownKey | undefined) => {
    const found = cache.lookUp(hash);
    asked.at(-1)?.answer(key);
    return found;
  };
  return { cache, asked, state, learn };
}

const idOf = (cache: KeyCache, hash = HASH): string | null | undefined => {
  const found = cache.peek(hash);
  return found === null ? null : found?.known.keyId;
};

test('what was looked up is remembered for a minute while changes are followed', async () => {
  const { cache, state, learn } = open();
  const key = knownKey();
  await learn(HASH, key);
  for (const afterMs of [0, 5_000, MINUTE_MS - 1]) {
    state.now = 1_000_000 + afterMs;
    state.knownUntil = state.now;
    expect(idOf(cache)).toBe(key.keyId);
  }
  state.now = state.knownUntil = 1_000_000 + MINUTE_MS;
  expect(idOf(cache)).toBeUndefined();
});

test('while changes cannot be followed nothing is believed for a second, but it is known to have been real', async () => {
  const { cache, state, learn } = open();
  await learn(HASH, knownKey());
  state.now += 900;
  expect(cache.peek(HASH)).toBeDefined();
  state.now += 1;
  expect(cache.peek(HASH)).toBeUndefined();
  expect(cache.wasReal(HASH)).toBe(true);
  await learn(HASH, knownKey());
  state.now += 900;
  expect(cache.peek(HASH)).toBeDefined();
});

test('it is forgotten when the plan of its tenant changes by itself', async () => {
  const { cache, state, learn } = open();
  await learn(HASH, knownKey({ planChangesInMs: 300 }));
  state.now += 299;
  expect(cache.peek(HASH)).toBeDefined();
  state.now += 1;
  expect(cache.peek(HASH)).toBeUndefined();
});

describe('an end, as a span by the clock of the database', () => {
  test('is counted from before the database was asked: it comes no later than there', async () => {
    const { cache, asked, state } = open();
    const first = cache.lookUp(HASH);
    state.now += 400;
    const joined = cache.lookUp(HASH);
    asked[0]?.answer(knownKey({ endsInMs: 1_000 }));
    const found = [await first, await joined, cache.peek(HASH)];
    state.now = 1_000_999;
    expect(found.map((key) => key?.hasEnded())).toEqual([false, false, false]);
    state.now = 1_001_000;
    expect(found.map((key) => key?.hasEnded())).toEqual([true, true, true]);
  });

  test('holds for what is remembered as long as that is believed', async () => {
    const { cache, state, learn } = open();
    await learn(HASH, knownKey({ endsInMs: 30_000 }));
    state.now = state.knownUntil = 1_029_999;
    expect(cache.peek(HASH)?.hasEnded()).toBe(false);
    state.now = state.knownUntil = 1_030_000;
    expect(cache.peek(HASH)?.hasEnded()).toBe(true);
  });

  test.each([
    ['has come', 0, true],
    ['came long ago', -3_600_000, true],
    ['never comes', null, false],
  ])('that %s', async (_title, endsInMs, hasEnded) => {
    const { learn } = open();
    expect((await learn(HASH, knownKey({ endsInMs })))?.hasEnded()).toBe(hasEnded);
  });
});

test.each([
  ['the key', (key: KnownKey) => key.keyId],
  ['its tenant', (key: KnownKey) => key.tenantId],
  ['its plan', (key: KnownKey) => `plan/${key.plan.name}`],
])('a change of %s makes it be looked up anew, and leaves others alone', async (_what, subjectOf) => {
  const { cache, learn } = open();
  const key = knownKey({ plan: { name: 'custom', limits: knownKey().plan.limits } });
  const other = knownKey();
  await learn(HASH, key);
  await learn(hashOf(2), other);
  cache.doubt(new Set(['key_of_someone_else', subjectOf(key)]));
  expect([idOf(cache), idOf(cache, hashOf(2))]).toEqual([undefined, other.keyId]);
  expect(cache.wasReal(HASH)).toBe(true);
});

describe('a look-up that began before a change', () => {
  test('answers who asked for it, and is not remembered', async () => {
    const { cache, asked } = open();
    const old = cache.lookUp(HASH);
    cache.doubt(new Set(['key_any']));
    asked[0]?.answer(knownKey());
    expect(await old).not.toBeNull();
    expect(cache.peek(HASH)).toBeUndefined();
  });

  test('is not joined by who comes after it', async () => {
    const { cache, asked } = open();
    const old = cache.lookUp(HASH);
    cache.doubt(new Set(['key_any']));
    const late = cache.lookUp(HASH);
    expect(asked).toHaveLength(2);
    const fresh = knownKey();
    asked[1]?.answer(fresh);
    asked[0]?.answer(knownKey());
    expect((await late)?.known.keyId).toBe(fresh.keyId);
    await old;
    expect(idOf(cache)).toBe(fresh.keyId);
  });
});

test('an older look-up that ends later does not replace a newer one', async () => {
  const { cache, asked, state } = open();
  const slow = cache.lookUp(HASH);
  state.now += 501;
  const quick = cache.lookUp(HASH);
  const fresh = knownKey();
  asked[1]?.answer(fresh);
  await quick;
  asked[0]?.answer(knownKey());
  await slow;
  expect(idOf(cache)).toBe(fresh.keyId);
});

test('a hundred requests at once look a key up once; one that hangs is not waited for', async () => {
  const { cache, asked, state } = open();
  const all = Array.from({ length: 100 }, () => cache.lookUp(HASH));
  expect(asked).toHaveLength(1);
  state.now += 501;
  const later = cache.lookUp(HASH);
  expect(asked).toHaveLength(2);
  for (const { answer } of asked) answer(knownKey());
  expect((await Promise.all([...all, later])).every((found) => found !== null)).toBe(true);
});

test('who would join a look-up can tell, until it has landed, is too old, or a change was heard of', async () => {
  const { cache, asked, state, learn } = open();
  expect(cache.isUnderWay(HASH)).toBe(false);
  const hanging = cache.lookUp(HASH);
  state.now += 500;
  expect([cache.isUnderWay(HASH), cache.isUnderWay(hashOf(2))]).toEqual([true, false]);
  state.now += 1;
  expect(cache.isUnderWay(HASH)).toBe(false);
  asked[0]?.answer(undefined);
  await hanging;
  const doubted = cache.lookUp(HASH);
  cache.doubt(new Set(['key_any']));
  expect(cache.isUnderWay(HASH)).toBe(false);
  asked[1]?.answer(undefined);
  await doubted;
  await learn(HASH, knownKey());
  expect(cache.isUnderWay(HASH)).toBe(false);
});

test('a look-up that fails fails for all who wait, and is tried anew by the next', async () => {
  const { cache, asked, learn } = open();
  const both = [cache.lookUp(HASH), cache.lookUp(HASH)];
  asked[0]?.fail(new Error('away'));
  for (const found of both) await expect(found).rejects.toThrow('away');
  const key = knownKey();
  await learn(HASH, key);
  expect(idOf(cache)).toBe(key.keyId);
});

describe('a text that is no key', () => {
  test('is remembered for a minute, whether changes are followed or not', async () => {
    const { cache, state, learn } = open();
    await learn(HASH, undefined);
    state.now += MINUTE_MS - 1;
    expect([idOf(cache), cache.wasReal(HASH)]).toEqual([null, false]);
    state.now += 1;
    expect(idOf(cache)).toBeUndefined();
  });

  test('pushes out others of its kind, and never a real key', async () => {
    const { cache, state, learn } = open({ max: 10 });
    const key = knownKey();
    await learn(HASH, key);
    for (let n = 100; n < 1_100; n++) await learn(hashOf(n), undefined);
    state.knownUntil = state.now;
    const remembered = Array.from({ length: 1_000 }, (_, n) => idOf(cache, hashOf(100 + n)) === null);
    expect(remembered.filter(Boolean)).toHaveLength(10);
    expect(idOf(cache)).toBe(key.keyId);
  });
});

test('after a gap in the log everything is looked up anew', async () => {
  const { cache, learn } = open();
  await learn(HASH, knownKey());
  await learn(hashOf(2), undefined);
  cache.doubtAll();
  expect([idOf(cache), idOf(cache, hashOf(2))]).toEqual([undefined, undefined]);
});
