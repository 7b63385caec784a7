/**
 * Chunks that are suspected to hold an item which ends the process take turns, one item in the whole process at a time,
 * so that a crash is never laid to an innocent one.
 */
export interface Isolation {
  /** Runs `work` when it is this one's turn; `instead` when `signal` aborts before that. */
  turn<T>(signal: AbortSignal, work: () => Promise<T>, instead: () => Promise<T>): Promise<T>;
}

export function createIsolation(): Isolation {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async turn(signal, work, instead) {
      const before = last;
      let release: () => void = () => undefined;
      last = new Promise<void>((resolve) => {
        release = resolve;
      });
      try {
        await Promise.race([before, aborted(signal)]);
        return await (signal.aborted ? instead() : work());
      } finally {
        // The next one waits for the one before, also where this one gave up its turn.
        void before.then(release);
      }
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
