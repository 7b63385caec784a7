import fc from 'fast-check';
import { decodeDone, DONE_MAP_MAX, encodeDone } from '../../src/domain/batch/done-map';
import { blockItems, paceInterval } from '../../src/domain/batch/pace';
import {
  chunkCount,
  chunkItems,
  chunkRange,
  DEFAULT_CONCURRENCY,
  laneCount,
  LANES_MAX,
  laneShare,
  limitsOf,
} from '../../src/domain/batch/partition';
import { foretell, newerCounts, toCounts } from '../../src/domain/batch/progress';
import {
  DRIVEN_STATUSES,
  FINAL_STATUSES,
  finalStatus,
  JOB_STATUSES,
  statusesBefore,
  TRANSITIONS,
} from '../../src/domain/batch/status';
import { failuresTolerated } from '../../src/domain/batch/tolerance';
import { wantedState } from '../../src/domain/batch/wanted';
import { decodeId, encodeId, tryDecodeId } from '../../src/domain/ids';

const amount = fc.integer({ min: 0, max: 1_000_000 });

describe('partition', () => {
  test('chunks cover every item exactly once, in order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200_000 }), (n) => {
        const size = chunkItems(n);
        let next = 0;
        for (let no = 0; no < chunkCount(n, size); no++) {
          const { start, end } = chunkRange(no, size, n);
          expect(start).toBe(next);
          expect(end).toBeGreaterThan(start);
          next = end;
        }
        expect(next).toBe(n);
      }),
    );
  });

  const rate = fc.option(fc.double({ min: 0.01, max: 100_000, noNaN: true }), { nil: null });

  test('what the chunks of all lanes may have in flight is exactly the limit, and no lane is idle', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100_000 }), rate, (concurrency, maxRps) => {
        const limits = { concurrency, maxRps };
        const shares = Array.from({ length: LANES_MAX + 1 }, (_, lane) => laneShare(limits, lane));
        expect(shares.reduce((a, b) => a + b, 0)).toBe(concurrency);
        expect(shares.filter((share) => share > 0)).toHaveLength(laneCount(limits));
        expect(Math.max(...shares) - Math.min(...shares.slice(0, laneCount(limits)))).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('a plan’s limit holds whatever the job asks for', () => {
    fc.assert(
      fc.property(
        fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: null }),
        fc.integer({ min: 1, max: 1_000 }),
        (max_concurrency, planMax) => {
          const { concurrency } = limitsOf({ max_concurrency, max_rps: null }, planMax);
          expect(concurrency).toBeLessThanOrEqual(planMax);
          if (max_concurrency !== null) expect(concurrency).toBeLessThanOrEqual(max_concurrency);
        },
      ),
    );
    expect(limitsOf({ max_concurrency: null, max_rps: null }, null).concurrency).toBe(DEFAULT_CONCURRENCY);
  });

  test('what a lane reserves of a rate is at most a quarter of a second’s worth, but at least one item', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0.01, max: 100_000, noNaN: true }),
        (concurrency, maxRps) => {
          const limits = { concurrency, maxRps };
          const items = blockItems(limits);
          expect(items).toBeGreaterThanOrEqual(1);
          if (items > 1)
            expect(items * paceInterval(maxRps) * laneCount(limits)).toBeLessThanOrEqual(250.001);
        },
      ),
    );
  });
});

describe('done chunks', () => {
  test('pass through their text unchanged, in at most a quarter of a character each', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: DONE_MAP_MAX - 1 })), (numbers) => {
        const done = numbers.toSorted((a, b) => a - b);
        expect(decodeDone(encodeDone(done))).toEqual(done);
        expect(encodeDone(done).length).toBeLessThanOrEqual(DONE_MAP_MAX / 4);
      }),
    );
  });
});

describe('tolerated failures', () => {
  test('exactly the limit is borne and one more is not, by count and by percentage, whichever is less', () => {
    expect(failuresTolerated(null, 100)).toBeNull();
    expect(failuresTolerated({ count: 5 }, 100)).toBe(5);
    expect(failuresTolerated({ count: 0 }, 100)).toBe(0);
    expect(failuresTolerated({ percentage: 10 }, 1_000)).toBe(100);
    expect(failuresTolerated({ percentage: 0.57 }, 10_000)).toBe(57);
    expect(failuresTolerated({ percentage: 50 }, 3)).toBe(1);
    expect(failuresTolerated({ count: 5, percentage: 1 }, 100)).toBe(1);
    expect(failuresTolerated({ count: 5, percentage: 100 }, 100)).toBe(5);
  });

  test('a whole percentage of a total is never a failure short', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 1, max: 10_000_000 }),
        (percentage, of) => {
          const exact = Number((BigInt(percentage) * BigInt(of)) / 100n);
          expect(failuresTolerated({ percentage }, of)).toBe(exact);
        },
      ),
    );
  });
});

describe('what the row wants of the workflow', () => {
  const wish = { desired: 'running', outcome: null } as const;

  test('each status that a workflow drives asks for one thing, and all others for nothing', () => {
    expect(wantedState({ ...wish, status: 'queued' })).toBe('waiting');
    expect(wantedState({ ...wish, status: 'running' })).toBe('running');
    expect(wantedState({ ...wish, status: 'paused', desired: 'paused' })).toBe('paused');
    expect(wantedState({ ...wish, status: 'cancelling', desired: 'cancelled' })).toBe('cancelled');
    for (const status of ['created', 'finalizing', ...FINAL_STATUSES] as const) {
      expect(wantedState({ ...wish, status })).toBe('ended');
    }
  });

  test('too many failures end a job also while it is paused; a cancel goes first', () => {
    const exceeded = { desired: 'paused', outcome: 'tolerance_exceeded' } as const;
    expect(wantedState({ ...exceeded, status: 'paused' })).toBe('exceeded');
    expect(wantedState({ ...exceeded, status: 'running' })).toBe('exceeded');
    expect(wantedState({ ...exceeded, status: 'cancelling' })).toBe('cancelled');
  });
});

describe('progress', () => {
  test('counts are never negative and always add up to the total', () => {
    fc.assert(
      fc.property(
        amount,
        amount,
        amount,
        amount,
        amount,
        (succeeded, failed, cancelled, pending, running) => {
          const counts = toCounts({
            total: succeeded + failed + cancelled + pending,
            succeeded,
            failed,
            cancelled,
            running,
          });
          const { total: all, ...parts } = counts;
          expect(Object.values(parts).every((n) => n >= 0)).toBe(true);
          expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBe(all);
        },
      ),
    );
  });

  test('of two views of a job the one with more done is taken', () => {
    const older = toCounts({ total: 10, succeeded: 3, failed: 1, cancelled: 0, running: 2 });
    const newer = toCounts({ total: 10, succeeded: 4, failed: 1, cancelled: 0, running: 0 });
    expect(newerCounts(older, newer)).toBe(newer);
    expect(newerCounts(newer, older)).toBe(newer);
  });

  test('nothing is foretold before something is done', () => {
    const counts = toCounts({ total: 10, succeeded: 0, failed: 0, cancelled: 0, running: 5 });
    expect(foretell(counts, 1_000)).toEqual({ rate_per_second: null, eta_seconds: null });
  });

  test('the eta is what is left divided by the mean rate', () => {
    const counts = toCounts({ total: 100, succeeded: 20, failed: 5, cancelled: 0, running: 5 });
    expect(foretell(counts, 5_000)).toEqual({ rate_per_second: 5, eta_seconds: 15 });
  });
});

describe('status machine', () => {
  test('every status but the final ones leads to an end, and no final status leads anywhere', () => {
    for (const status of JOB_STATUSES) {
      const reached = new Set<string>([status]);
      for (const s of reached)
        for (const next of TRANSITIONS[s as keyof typeof TRANSITIONS]) reached.add(next);
      expect(FINAL_STATUSES.some((final) => reached.has(final))).toBe(true);
    }
    for (const final of FINAL_STATUSES) expect(TRANSITIONS[final]).toEqual([]);
  });

  test('a job is driven by a workflow exactly while it is sealed and not ended', () => {
    expect([...DRIVEN_STATUSES, ...FINAL_STATUSES, 'created'].sort()).toEqual([...JOB_STATUSES].sort());
  });

  test('statusesBefore is the inverse of the table', () => {
    for (const from of JOB_STATUSES) {
      for (const to of JOB_STATUSES) {
        expect(statusesBefore(to).includes(from)).toBe((TRANSITIONS[from] as readonly string[]).includes(to));
      }
    }
  });

  test('each outcome ends in a status that finalizing may reach', () => {
    for (const outcome of ['drained', 'cancelled', 'tolerance_exceeded', 'expired'] as const) {
      for (const failed of [0, 1])
        expect(TRANSITIONS.finalizing).toContain(finalStatus(outcome, failed, null));
    }
    expect(finalStatus('drained', 0, 0)).toBe('completed');
    expect(finalStatus('drained', 1, null)).toBe('completed_with_errors');
    expect(finalStatus('drained', 5, 5)).toBe('completed_with_errors');
    expect(finalStatus('drained', 6, 5)).toBe('failed');
    expect(finalStatus('cancelled', 6, 5)).toBe('cancelled');
  });
});

describe('ids', () => {
  test('the vectors of the TypeID specification', () => {
    const vectors = [
      ['00000000000000000000000000', '00000000-0000-0000-0000-000000000000'],
      ['00000000000000000000000001', '00000000-0000-0000-0000-000000000001'],
      ['0000000000000000000000000a', '00000000-0000-0000-0000-00000000000a'],
      ['0000000000000000000000000g', '00000000-0000-0000-0000-000000000010'],
      ['00000000000000000000000010', '00000000-0000-0000-0000-000000000020'],
      ['7zzzzzzzzzzzzzzzzzzzzzzzzz', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
      ['0123456789abcdefghjkmnpqrs', '0110c853-1d09-52d8-d73e-1194e95b5f19'],
      ['01h455vb4pex5vsknk084sn02q', '01890a5d-ac96-774b-bcce-b302099a8057'],
    ];
    for (const [suffix, uuid] of vectors as [string, string][]) {
      expect(encodeId('job', uuid)).toBe(`job_${suffix}`);
      expect(decodeId('job', `job_${suffix}`)).toBe(uuid);
    }
  });

  test('ids sort as their uuids do, and decode to what was encoded', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), (a, b) => {
        expect(decodeId('job', encodeId('job', a))).toBe(a);
        expect(encodeId('job', a) < encodeId('job', b)).toBe(a < b);
      }),
    );
  });

  test('what is no id of the kind is refused', () => {
    for (const id of [
      '',
      'job_',
      'key_01h455vb4pex5vsknk084sn02q',
      'job_81h455vb4pex5vsknk084sn02q',
      'job_01H455VB4PEX5VSKNK084SN02Q',
      'job_01h455vb4pex5vsknk084sn02',
      'job_01h455vb4pex5vsknk084sn0il',
    ]) {
      expect(tryDecodeId('job', id)).toBeUndefined();
    }
    expect(() => decodeId('job', 'nonsense')).toThrow('not_found');
  });
});
