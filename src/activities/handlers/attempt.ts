/** One attempt under a deadline. The handler's promise may outlive it; what comes of it then is nobody's concern. */
import { failure, type Failure, toFailure } from './failure';

export type Attempt<T> =
  | { kind: 'done'; value: T }
  | { kind: 'failed'; failure: Failure }
  | { kind: 'aborted' };

export interface AttemptOptions {
  timeoutMs: number;
  /** of the batch */
  signal: AbortSignal;
}

export async function attempt<T>(
  work: (signal: AbortSignal) => T | Promise<T>,
  { timeoutMs, signal }: AttemptOptions,
): Promise<Attempt<T>> {
  if (signal.aborted) return { kind: 'aborted' };
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const cut = new Promise<Attempt<T>>((resolve) => {
    timer = setTimeout(() => {
      resolve({ kind: 'failed', failure: timedOut(timeoutMs) });
      controller.abort(new DOMException(`The item took longer than ${timeoutMs} ms`, 'TimeoutError'));
    }, timeoutMs);
    onAbort = () => {
      resolve({ kind: 'aborted' });
      controller.abort(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([settle(work, controller.signal), cut]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/** Never rejects, so that a handler that fails after its deadline is not an unhandled rejection. */
async function settle<T>(
  work: (signal: AbortSignal) => T | Promise<T>,
  signal: AbortSignal,
): Promise<Attempt<T>> {
  try {
    return { kind: 'done', value: await work(signal) };
  } catch (error) {
    return { kind: 'failed', failure: toFailure(error) };
  }
}

function timedOut(timeoutMs: number): Failure {
  return failure('handler_timeout', `The handler took longer than ${timeoutMs} ms.`, true);
}

/** True when the time has passed, false when `signal` was first. */
export async function wait(delayMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  return new Promise((resolve) => {
    const done = (passed: boolean): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      resolve(passed);
    };
    const onAbort = (): void => done(false);
    const timer = setTimeout(() => done(true), delayMs);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
