import type { RecognisedKey } from '../../src/api/access/key-cache';
import type { Credential } from '../../src/api/access/ports';
import { createCredentialWatch } from '../../src/api/realtime/credential-watch';
import type { Scope } from '../../src/domain/key/scopes';
import { addressFilter } from '../../src/domain/net/cidr';
import { knownKey } from '../support/principal';

const HASH = 'aa';
const ADDRESS = '192.0.2.1';

function keyOf(change: Parameters<typeof knownKey>[0] = {}): RecognisedKey {
  const known = knownKey({ scopes: ['jobs:read', 'events:read'], ...change });
  return {
    hash: HASH,
    known,
    principal: known,
    admits: addressFilter(known.allowedCidrs),
    hasEnded: () => false,
  };
}

/** Keys are what the test says; the clock stands still. */
function open() {
  const state = {
    now: 0,
    remembered: new Map<string, RecognisedKey | null>(),
    lookUp: async (_hash: string): Promise<RecognisedKey | null> => null,
    lookedUp: 0,
    ended: [] as string[],
    askTickets: async (ids: readonly string[]): Promise<string[]> =>
      ids.filter((id) => state.ended.includes(id)),
    failures: [] as unknown[],
  };
  const watch = createCredentialWatch({
    keys: {
      peek: (hash) => state.remembered.get(hash),
      lookUp: (hash) => {
        state.lookedUp++;
        return state.lookUp(hash);
      },
    },
    endedTickets: (ids) => state.askTickets(ids),
    monotonicMs: () => state.now,
    onFailure: (error) => state.failures.push(error),
  });
  const follow = (change: Partial<Credential> = {}, scopes: Scope[] = ['jobs:read']) => {
    const stream = { ends: 0 };
    const credential = { keyHash: HASH, address: ADDRESS, ...change };
    return Object.assign(
      stream,
      watch.watch({ credential, scopes }, () => {
        stream.ends++;
      }),
    );
  };
  return { watch, state, follow };
}

const ticket = (id: string, endsInMs = 1_000_000) => ({ ticket: { id, topics: null, endsInMs } });

test('a stream whose key is good goes on', async () => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, keyOf());
  const stream = follow();
  for (let n = 0; n < 3; n++) await watch.sweep();
  expect(stream.ends).toBe(0);
});

test.each([
  ['is not there any more', null],
  ['was revoked', keyOf({ revokedAt: new Date() })],
  ['has ended', { ...keyOf(), hasEnded: () => true }],
  ['lost the scope', keyOf({ scopes: ['events:read'] })],
  ['may not be used from there', keyOf({ allowedCidrs: ['198.51.100.0/24'] })],
])('a stream ends, once, when its key %s', async (_what, after) => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, keyOf());
  const stream = follow();
  await watch.sweep();
  state.remembered.set(HASH, after);
  for (let n = 0; n < 3; n++) await watch.sweep();
  expect(stream.ends).toBe(1);
});

test('the end of a key comes by time, with nothing changed', async () => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, { ...keyOf(), hasEnded: () => state.now >= 5_000 });
  const stream = follow();
  await watch.sweep();
  expect(stream.ends).toBe(0);
  state.now = 5_000;
  await watch.sweep();
  expect(stream.ends).toBe(1);
});

test('what a stream needs later must stay with the key too', async () => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, keyOf({ scopes: ['jobs:read'] }));
  const stream = follow();
  await watch.sweep();
  stream.needs(['events:read']);
  await watch.sweep();
  expect(stream.ends).toBe(1);
});

test('admin carries every scope', async () => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, keyOf({ scopes: ['admin'] }));
  const stream = follow({}, ['jobs:read', 'events:read']);
  await watch.sweep();
  expect(stream.ends).toBe(0);
});

test('a key that may have changed is looked up, once for all its streams', async () => {
  const { watch, state, follow } = open();
  const streams = [follow(), follow(), follow()];
  await watch.sweep();
  expect(state.lookedUp).toBe(1);
  expect(streams.map(({ ends }) => ends)).toEqual([1, 1, 1]);
});

test('while keys cannot be looked up streams go on for half a minute, and one failure is told a sweep', async () => {
  const { watch, state, follow } = open();
  state.lookUp = async () => {
    throw new Error('away');
  };
  const streams = [follow(), follow({ keyHash: 'bb' })];
  state.now = 29_999;
  await watch.sweep();
  expect(streams.map(({ ends }) => ends)).toEqual([0, 0]);
  expect(state.failures).toHaveLength(1);
  state.now = 30_000;
  await watch.sweep();
  expect(streams.map(({ ends }) => ends)).toEqual([1, 1]);
});

test('a look-up that hangs keeps no later sweep from ending what is over', async () => {
  const { watch, state, follow } = open();
  state.lookUp = () => new Promise(() => undefined);
  const hanging = follow({ keyHash: 'bb' });
  const stream = follow();
  state.remembered.set(HASH, keyOf());
  void watch.sweep();
  state.remembered.set(HASH, null);
  void watch.sweep();
  expect(stream.ends).toBe(1);
  expect(state.lookedUp).toBe(1);
  state.now = 30_000;
  void watch.sweep();
  expect(hanging.ends).toBe(1);
});

describe('with a ticket', () => {
  function openGood() {
    const opened = open();
    opened.state.remembered.set(HASH, keyOf({ allowedCidrs: ['198.51.100.0/24'] }));
    return opened;
  }

  test('a stream goes on wherever its client is', async () => {
    const { watch, follow } = openGood();
    const stream = follow(ticket('tkt_1'));
    await watch.sweep();
    expect(stream.ends).toBe(0);
  });

  test('it ends at the time of the ticket', async () => {
    const { watch, state, follow } = openGood();
    const stream = follow(ticket('tkt_1', 60_000));
    state.now = 59_999;
    await watch.sweep();
    expect(stream.ends).toBe(0);
    state.now = 60_000;
    await watch.sweep();
    expect(stream.ends).toBe(1);
  });

  test('it ends with its key', async () => {
    const { watch, state, follow } = openGood();
    const stream = follow(ticket('tkt_1'));
    state.remembered.set(HASH, keyOf({ revokedAt: new Date() }));
    await watch.sweep();
    expect(stream.ends).toBe(1);
  });

  test('it ends when it is told that the ticket was ended, and no other does', async () => {
    const { watch, follow } = openGood();
    const streams = [follow(ticket('tkt_1')), follow(ticket('tkt_2'))];
    watch.changed(new Set(['tkt_1', 'key_x']));
    expect(streams.map(({ ends }) => ends)).toEqual([1, 0]);
  });

  test('one that was ended before it was watched is found out', async () => {
    const { watch, state, follow } = openGood();
    state.ended.push('tkt_1');
    const streams = [follow(ticket('tkt_1')), follow(ticket('tkt_2'))];
    await watch.sweep();
    expect(streams.map(({ ends }) => ends)).toEqual([1, 0]);
  });

  test('one that was ended without being told is found out, also when the first question fails', async () => {
    const { watch, state, follow } = openGood();
    const stream = follow(ticket('tkt_1'));
    await watch.sweep();
    state.ended.push('tkt_1');
    await watch.sweep();
    expect(stream.ends).toBe(0);
    watch.doubtAll();
    const { askTickets } = state;
    state.askTickets = async () => {
      throw new Error('away');
    };
    await watch.sweep();
    expect(stream.ends).toBe(0);
    state.askTickets = askTickets;
    await watch.sweep();
    expect(stream.ends).toBe(1);
  });
});

test('one that left is told nothing, and its leaving twice leaves the others watched', async () => {
  const { watch, state, follow } = open();
  state.remembered.set(HASH, keyOf());
  const first = follow();
  first.stop();
  const second = follow();
  first.stop();
  state.remembered.set(HASH, null);
  await watch.sweep();
  expect([first.ends, second.ends]).toEqual([0, 1]);
});
