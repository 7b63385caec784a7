import { createAdmission } from '../../src/api/realtime/admission';
import type { Principal } from '../../src/domain/key/scopes';
import { knownKey, NO_LIMITS } from '../support/principal';

/** Seats of one tenant, and a watch that ends streams when the test says so. */
function open({ streamsMax = 100, seatsMax = 100 } = {}) {
  const ends: (() => void)[] = [];
  const counts = { taken: 0, stopped: 0, refused: [] as string[], ended: 0 };
  const admission = createAdmission({
    seats: {
      take: async () => {
        if (counts.taken >= seatsMax) return false;
        counts.taken++;
        return true;
      },
      giveBack: () => void counts.taken--,
    },
    watch: {
      watch: (_entrant, onEnd) => {
        ends.push(onEnd);
        return { needs: () => undefined, stop: () => void counts.stopped++ };
      },
    },
    streamsMax,
    metrics: { refused: (why) => counts.refused.push(why), ended: () => void counts.ended++ },
    random: () => 0.5,
  });
  const limits = { ...NO_LIMITS, realtimeConnections: seatsMax };
  const principal: Principal = knownKey({ plan: { name: 'small', limits } });
  const credential = { keyHash: 'aa', address: '192.0.2.1' };
  const admit = (onEnd: (why: string) => void = () => undefined) =>
    admission.admit({ principal, credential, scopes: ['jobs:read'] }, onEnd);
  return { admit, counts, ends };
}

test('one more than the plan allows is refused, with when to come back, until one leaves', async () => {
  const { admit, counts } = open({ seatsMax: 2 });
  const stay = await admit();
  await admit();
  await expect(admit()).rejects.toMatchObject({ code: 'too_many_connections', retryAfterSeconds: 10 });
  expect(counts.refused).toEqual(['plan']);
  stay.leave();
  await expect(admit()).resolves.toBeDefined();
});

test('one more than this process takes is refused, also among many that ask at once', async () => {
  const { admit, counts } = open({ streamsMax: 3 });
  const asked = await Promise.allSettled(Array.from({ length: 10 }, () => admit()));
  const stays = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  expect(stays).toHaveLength(3);
  expect(counts.taken).toBe(3);
  for (const one of asked) {
    if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'at_capacity' });
  }
  stays[0]?.leave();
  await expect(admit()).resolves.toBeDefined();
});

test('one that the tenant may not open takes no place in this process', async () => {
  const { admit } = open({ seatsMax: 0, streamsMax: 1 });
  for (let n = 0; n < 3; n++) await expect(admit()).rejects.toMatchObject({ code: 'too_many_connections' });
});

test('leaving twice gives back one seat', async () => {
  const { admit, counts } = open();
  const stay = await admit();
  await admit();
  stay.leave();
  stay.leave();
  expect(counts).toMatchObject({ taken: 1, stopped: 1 });
});

test('the end of what it was let in by is told to its stream', async () => {
  const { admit, counts, ends } = open();
  const told: string[] = [];
  await admit((why) => told.push(why));
  ends[0]?.();
  expect(told).toEqual(['credential_ended']);
  expect(counts.ended).toBe(1);
});
