import fc from 'fast-check';
import type { Job } from '../../src/domain/batch/job';
import { activeMs, foretellJob } from '../../src/domain/batch/progress';

const at = (second: number): Date => new Date(1_700_000_000_000 + second * 1_000);
const times = { started_at: at(0), ended_at: null, paused_at: null, paused_ms: 0 };

describe('the time in which a job could get on', () => {
  test.each([
    ['none before the start', { started_at: null }, 50, 0],
    ['runs with the clock', {}, 50, 50],
    ['ends with the job', { ended_at: at(20) }, 50, 20],
    ['stands still while it is paused', { paused_at: at(30) }, 50, 30],
    ['goes on after a pause, without it', { paused_ms: 10_000 }, 50, 40],
    ['without earlier pauses while it is paused again', { paused_ms: 10_000, paused_at: at(30) }, 50, 20],
    ['is that before the pause for a job that ended in one', { paused_at: at(30), ended_at: at(40) }, 50, 30],
    ['is never less than none, whatever the clocks say', {}, -50, 0],
  ])('%s', (_what, job, now, seconds) => {
    expect(activeMs({ ...times, ...job }, at(now))).toBe(seconds * 1_000);
  });

  test('is what lies between the pauses, whatever their number and length', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1_000), fc.nat(1_000))), fc.nat(1_000), (spans, rest) => {
        let now = 0;
        let pausedMs = 0;
        let worked = 0;
        for (const [work, pause] of spans) {
          expect(
            activeMs({ ...times, paused_ms: pausedMs, paused_at: at(now + work) }, at(now + work + pause)),
          ).toBe((worked + work) * 1_000);
          now += work + pause;
          worked += work;
          pausedMs += pause * 1_000;
        }
        expect(activeMs({ ...times, paused_ms: pausedMs }, at(now + rest))).toBe((worked + rest) * 1_000);
      }),
    );
  });
});

describe('what a job foretells', () => {
  const counts = { total: 100, pending: 60, running: 0, succeeded: 30, failed: 10, cancelled: 0 };

  test('rate and time left go by the time in which it could get on', () => {
    const job = { ...times, status: 'running', paused_ms: 60_000 } as Job;
    expect(foretellJob(job, counts, at(80))).toEqual({ rate_per_second: 2, eta_seconds: 30 });
  });

  test('while it is paused the rate is what it was, and the time left is not known', () => {
    const job = { ...times, status: 'paused', paused_at: at(20) } as Job;
    expect(foretellJob(job, counts, at(900))).toEqual({ rate_per_second: 2, eta_seconds: null });
  });
});
