import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child';
import { StartFailure } from './failure';

const pollEveryMs = 40;

/** Polls `check` until it answers true; false when `timeoutMs` passed first. An exception counts as "not yet". */
export async function becomesTrue(
  timeoutMs: number,
  check: () => Promise<boolean> | boolean,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (
      await Promise.resolve()
        .then(check)
        .catch(() => false)
    )
      return true;
    if (performance.now() >= deadline) return false;
    await delay(pollEveryMs);
  }
}

/** Waits until a child answers; fails with its log when it ends first or takes longer than `timeoutMs`. */
export async function waitUntilReady(
  child: Child,
  timeoutMs: number,
  check: () => Promise<boolean> | boolean,
): Promise<void> {
  const ready = await becomesTrue(timeoutMs, async () => child.hasExited() || (await check()));
  if (child.hasExited()) {
    throw new StartFailure(`${child.name} ended while starting (${await child.exited})`, child.logFile);
  }
  if (!ready) {
    throw new StartFailure(`${child.name} did not answer within ${timeoutMs / 1000} s`, child.logFile);
  }
}
