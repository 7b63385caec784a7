/** A step that is repeated until it is told to stop: never twice at once, and a failure only waits for the next turn. */
export interface LoopOptions {
  intervalMs: number;
  step(): Promise<unknown>;
  onError(error: unknown): void;
}

export interface Loop {
  /** Resolves when the step under way has ended. */
  stop(): Promise<void>;
}

export function startLoop({ intervalMs, step, onError }: LoopOptions): Loop {
  const stopped = new AbortController();
  const run = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await step().catch(onError);
      await pause(intervalMs, stopped.signal);
    }
  };
  const running = run();
  return {
    stop: () => {
      stopped.abort();
      return running;
    },
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}
