/**
 * Where the realtime log stands, for answers that show a state: whoever follows from there misses nothing. A cursor may be old,
 * but not newer than the state; so many readers share one, and most need not wait for Redis.
 */

export interface LatestCursor {
  /** undefined while Redis is away, or slow. */
  get(): number | undefined | Promise<number | undefined>;
}

export interface LatestCursorOptions {
  read(): Promise<number>;
  /** monotonic, in ms */
  now(): number;
  /** how old a cursor may be */
  freshMs?: number;
  /** how long readers wait for it */
  waitMs?: number;
  /** how long nobody asks after a failure */
  restMs?: number;
}

const FRESH_MS = 20;
const WAIT_MS = 100;
const REST_MS = 1_000;

export function createLatestCursor(options: LatestCursorOptions): LatestCursor {
  const { now, freshMs = FRESH_MS, waitMs = WAIT_MS, restMs = REST_MS } = options;
  let known: { cursor: number | undefined; untilMs: number } = { cursor: undefined, untilMs: -Infinity };
  let reading: Promise<number | undefined> | undefined;

  const read = async (): Promise<number | undefined> => {
    const begunMs = now();
    try {
      const cursor = await within(options.read(), waitMs);
      known = { cursor, untilMs: begunMs + freshMs };
    } catch {
      known = { cursor: undefined, untilMs: now() + restMs };
    }
    return known.cursor;
  };

  return {
    get() {
      if (now() < known.untilMs) return known.cursor;
      reading ??= read().finally(() => {
        reading = undefined;
      });
      return reading;
    },
  };
}

function within<T>(work: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('too slow')), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
