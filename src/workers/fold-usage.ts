/**
 * Folds what was appended to the usage into days. Each step is one transaction, so whoever is stopped or killed leaves all of it
 * to the next one, here or in another worker.
 */
import { type Loop, startLoop } from './loop';

export interface FoldUsageOptions {
  usage: {
    /** See src/platform/postgres/usage-fold.ts. */
    foldSome(limit: number): Promise<number | 'busy'>;
  };
  onError(error: unknown): void;
  intervalMs?: number;
}

const INTERVAL_MS = 1_000;
/** Small enough that a transaction is short, large enough to keep up with many processes that append. */
export const FOLD_MAX = 10_000;

export function startFoldUsage({ usage, onError, intervalMs }: FoldUsageOptions): Loop {
  const stopped = new AbortController();
  const loop = startLoop({
    intervalMs: intervalMs ?? INTERVAL_MS,
    step: async () => {
      while (!stopped.signal.aborted && (await usage.foldSome(FOLD_MAX)) === FOLD_MAX);
    },
    onError,
  });
  return {
    stop: () => {
      stopped.abort();
      return loop.stop();
    },
  };
}
