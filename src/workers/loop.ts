/** A step that is repeated until it is told to stop: never twice at once, and a failure only waits for the next turn. */
import { setTimeout as pause } from 'node:timers/promises';

export interface LoopOptions {
  intervalMs: number;
  /** @param signal aborted when the loop is told to stop */
  step(signal: AbortSignal): Promise<unknown>;
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
      await step(stopped.signal).catch(onError);
      // Told to stop, it ends early, which is no failure.
      await pause(intervalMs, undefined, { signal: stopped.signal }).catch(() => undefined);
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
