/** One look a second, for all the jobs that run in this process, at what their operators want. */
import type { Control } from '../../domain/batch/run';

export interface ControlWatch {
  /** `listener` hears the job's state at each look. @returns the end of it */
  follow(jobId: string, listener: (control: Control) => void): () => void;
  close(): void;
}

export interface ControlWatchOptions {
  watch(jobIds: readonly string[]): Promise<({ jobId: string } & Control)[]>;
  intervalMs: number;
  onError(error: unknown): void;
}

export function createControlWatch(options: ControlWatchOptions): ControlWatch {
  const listeners = new Map<string, Set<(control: Control) => void>>();
  // One look at a time. `watch` must settle whatever happens to its connection (the pool bounds each query): a look that
  // never ended would be the last.
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking || listeners.size === 0) return;
    looking = true;
    try {
      for (const { jobId, ...control } of await options.watch([...listeners.keys()])) {
        for (const listener of listeners.get(jobId) ?? []) listener(control);
      }
    } catch (error) {
      options.onError(error);
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => void look(), options.intervalMs);
  return {
    follow(jobId, listener) {
      const ofJob = listeners.get(jobId) ?? new Set();
      listeners.set(jobId, ofJob.add(listener));
      return () => {
        ofJob.delete(listener);
        if (ofJob.size === 0 && listeners.get(jobId) === ofJob) listeners.delete(jobId);
      };
    },
    close: () => clearInterval(timer),
  };
}
