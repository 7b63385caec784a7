import { setImmediate, setTimeout } from 'node:timers/promises';
import { Gate } from '../../src/activities/batch/gate';
import { createLaneLimits } from '../../src/activities/batch/lane-limits';
import { Stop } from '../../src/activities/batch/stop';
import type { Reservation } from '../../src/domain/batch/pace';
import { laneCount, laneShare, type Limits } from '../../src/domain/batch/partition';
import { until } from '../support/wait';

const FREE: Limits = { concurrency: 10, maxRps: null };
const PACED: Limits = { concurrency: 10, maxRps: 100 };

class Scene {
  limits = FREE;
  inFlight = 0;
  readonly stop = new Stop();
  readonly asked: number[] = [];
  answer: () => Reservation = () => ({ items: 1, waitMs: 0 });
  readonly gate = new Gate({
    stop: this.stop,
    limits: () => this.limits,
    inFlight: () => this.inFlight,
    reserve: async (items) => {
      this.asked.push(items);
      return this.answer();
    },
  });

  /** Whether an item passes, and undefined as long as it waits. */
  passing(): { passed: boolean | undefined } {
    const state: { passed: boolean | undefined } = { passed: undefined };
    void this.gate.pass().then((passed) => {
      state.passed = passed;
    });
    return state;
  }
}

describe('the gate before each item', () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });

  test('is open where nothing is paused or paced', async () => {
    expect(scene.gate.isOpen).toBe(true);
    expect(await scene.gate.pass()).toBe(true);
  });

  test('a pause with nothing in flight ends the attempt', async () => {
    scene.gate.hold();
    expect(await scene.gate.pass()).toBe(false);
    expect(scene.stop.reason).toBe('paused');
  });

  test('a pause lets what is in flight end, and ends the attempt with the last of it', async () => {
    scene.inFlight = 1;
    scene.gate.hold();
    const item = scene.passing();
    await setImmediate();
    expect(item.passed).toBeUndefined();
    scene.inFlight = 0;
    scene.gate.stir();
    await until('the end', () => item.passed === false);
    expect(scene.stop.reason).toBe('paused');
  });

  test('resumed while something is in flight, the attempt goes on as if nothing had been', async () => {
    scene.inFlight = 1;
    scene.gate.hold();
    const item = scene.passing();
    await setImmediate();
    scene.gate.release();
    await until('the item to pass', () => item.passed === true);
    expect(scene.stop.reason).toBeUndefined();
  });

  test('another attempt of an item never waits for a resume', async () => {
    scene.inFlight = 1;
    scene.gate.hold();
    expect(await scene.gate.passAgain()).toBe(false);
    expect(scene.stop.reason).toBeUndefined();
  });

  test('a stop ends every wait', async () => {
    scene.inFlight = 1;
    scene.gate.hold();
    const item = scene.passing();
    await setImmediate();
    scene.stop.soft('time_box');
    await until('the wait to end', () => item.passed === false);
  });

  test('no item passes a paced gate that was not reserved', async () => {
    scene.limits = PACED;
    scene.answer = () => ({ items: 3, waitMs: 0 });
    for (let n = 0; n < 6; n++) expect(await scene.gate.pass()).toBe(true);
    expect(scene.asked).toHaveLength(2);
    const startedAt = performance.now();
    scene.answer = () => ({ items: 1, waitMs: 60 });
    expect(await scene.gate.pass()).toBe(true);
    expect(performance.now() - startedAt).toBeGreaterThan(50);
  });

  test('many that ask at once share one reservation, and none of it is lost', async () => {
    scene.limits = PACED;
    scene.answer = () => ({ items: 4, waitMs: 0 });
    const passed = await Promise.all(Array.from({ length: 12 }, () => scene.gate.passAgain()));
    expect(passed).toEqual(passed.map(() => true));
    expect(scene.asked).toHaveLength(3);
  });

  test('a reservation that was not used in its time is not made up for', async () => {
    scene.limits = PACED;
    scene.answer = () => ({ items: 100, waitMs: -1_000 });
    expect(await scene.gate.pass()).toBe(true);
    expect(await scene.gate.pass()).toBe(true);
    expect(scene.asked).toHaveLength(2);
  });

  test('an item that may begin only much later ends the attempt once nothing is in flight, and says when', async () => {
    scene.limits = PACED;
    scene.answer = () => ({ items: 0, waitMs: 60_000 });
    expect(await scene.gate.pass()).toBe(false);
    expect(scene.stop.reason).toBe('throttled');
    expect(scene.gate.throttledMs).toBe(60_000);
  });

  test('a limit that is lifted ends the wait for it', async () => {
    scene.limits = PACED;
    scene.inFlight = 1;
    scene.answer = () => ({ items: 0, waitMs: 60_000 });
    const item = scene.passing();
    await setTimeout(5);
    scene.limits = FREE;
    scene.gate.stir();
    await until('the item to pass', () => item.passed === true);
  });
});

describe('the limits of a lane', () => {
  test('whoever listens hears of new limits, and not of the same ones', () => {
    const limits = createLaneLimits({ concurrency: 100, maxRps: null }, { lane: 0, lanes: 4 }, false);
    const heard: number[] = [];
    const unwatch = limits.onChange(() => heard.push(limits.now()));
    expect(limits.now()).toBe(25);
    limits.update({ concurrency: 100, maxRps: null });
    limits.update({ concurrency: 12, maxRps: null });
    expect(heard).toEqual([3]);
    unwatch();
    limits.update({ concurrency: 100, maxRps: null });
    expect(heard).toEqual([3]);
  });

  test('where lanes go, those that stay take no more than before: what the others began still runs', () => {
    for (const [before, after] of [
      [
        { concurrency: 26, maxRps: null },
        { concurrency: 25, maxRps: null },
      ],
      [
        { concurrency: 76, maxRps: null },
        { concurrency: 75, maxRps: null },
      ],
      [
        { concurrency: 1_000, maxRps: null },
        { concurrency: 1_000, maxRps: 50 },
      ],
    ] as const) {
      const lanes = laneCount(before);
      let possible = 0;
      for (let lane = 0; lane < lanes; lane++) {
        const limits = createLaneLimits(before, { lane, lanes }, false);
        limits.update(after);
        possible += limits.exists ? limits.now() : laneShare(before, lane);
      }
      expect(possible).toBeLessThanOrEqual(before.concurrency);
    }
    // With the next hand-out the lane that is left has all of it.
    expect(createLaneLimits({ concurrency: 25, maxRps: null }, { lane: 0, lanes: 1 }, false).now()).toBe(25);
  });

  test('a lane beyond what the limits allow is gone, and may come back', () => {
    const limits = createLaneLimits({ concurrency: 100, maxRps: null }, { lane: 3, lanes: 4 }, false);
    expect(limits.exists).toBe(true);
    limits.update({ concurrency: 10, maxRps: null });
    expect(limits.exists).toBe(false);
    limits.update({ concurrency: 100, maxRps: null });
    expect(limits.exists).toBe(true);
  });

  test('a chunk under suspicion has one item at a time, whatever the limits are', () => {
    expect(createLaneLimits({ concurrency: 100, maxRps: null }, { lane: 0, lanes: 1 }, true).now()).toBe(1);
  });
});
