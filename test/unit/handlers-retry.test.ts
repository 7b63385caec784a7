import fc from 'fast-check';
import type { RetryPolicy } from '../../src/domain/batch/job';
import { ERROR_MESSAGE_MAX } from '../../src/domain/handler/contract';
import { toErrorMessage } from '../../src/domain/handler/error-message';
import { JITTER, mayTryAgain, retryDelayMs } from '../../src/domain/handler/retry';

const policy: fc.Arbitrary<RetryPolicy> = fc.record({
  max_attempts: fc.integer({ min: 1, max: 100 }),
  initial_interval_ms: fc.integer({ min: 0, max: 600_000 }),
  backoff_coefficient: fc.double({ min: 1, max: 10, noNaN: true }),
  max_interval_ms: fc.integer({ min: 0, max: 3_600_000 }),
});
const attempts = fc.integer({ min: 1, max: 10_000 });
const chance = fc.double({ min: 0, max: 1, noNaN: true });

describe('the wait before another attempt', () => {
  test('is a whole number of ms, never negative, never beyond the longest interval', () => {
    fc.assert(
      fc.property(policy, attempts, chance, (p, n, c) => {
        const delay = retryDelayMs(p, n, c);
        expect(Number.isInteger(delay) && delay >= 0 && delay <= p.max_interval_ms).toBe(true);
      }),
    );
  });

  test('grows with the attempts and with chance', () => {
    fc.assert(
      fc.property(policy, attempts, chance, (p, n, c) => {
        expect(retryDelayMs(p, n + 1, c)).toBeGreaterThanOrEqual(retryDelayMs(p, n, c));
        expect(retryDelayMs(p, n, 1)).toBeGreaterThanOrEqual(retryDelayMs(p, n, c));
      }),
    );
  });

  test('is the initial interval times the coefficient to the power of the retries, give or take the jitter', () => {
    const p: RetryPolicy = {
      max_attempts: 5,
      initial_interval_ms: 1_000,
      backoff_coefficient: 2,
      max_interval_ms: 60_000,
    };
    expect([1, 2, 3, 4].map((n) => retryDelayMs(p, n, 0.5))).toEqual([1_000, 2_000, 4_000, 8_000]);
    expect(retryDelayMs(p, 1, 0)).toBe(1_000 * (1 - JITTER));
    expect(retryDelayMs(p, 1, 1)).toBe(1_000 * (1 + JITTER));
    expect(retryDelayMs(p, 2_000, 1)).toBe(60_000);
  });

  test('comes before each attempt but those beyond max_attempts', () => {
    fc.assert(
      fc.property(policy, attempts, (p, n) => {
        expect(mayTryAgain(p, n)).toBe(n + 1 <= p.max_attempts);
      }),
    );
  });
});

test("an error's message is at most 1,000 characters, well-formed and free of U+0000, and short ones stay as they are", () => {
  const anyUnits = fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 1_100 })
    .map((units) => String.fromCharCode(...units));
  fc.assert(
    fc.property(
      fc.oneof(anyUnits, fc.string({ unit: 'grapheme', minLength: 900, maxLength: 1_200 })),
      (text) => {
        const message = toErrorMessage(text);
        expect(message.length).toBeLessThanOrEqual(ERROR_MESSAGE_MAX);
        expect(message.isWellFormed()).toBe(true);
        expect(message).not.toContain('\u0000');
        const fits = text.length <= ERROR_MESSAGE_MAX && text.isWellFormed() && !text.includes('\u0000');
        if (fits) expect(message).toBe(text);
      },
    ),
  );
});
