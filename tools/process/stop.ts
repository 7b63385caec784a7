import type { Child } from './child';
import { type ProcessIdentity, isAlive } from './identity';
import { becomesTrue } from './wait';

/** How a program is asked to end, and how long it may take before it is killed. */
export interface StopManner {
  readonly signal: NodeJS.Signals;
  readonly graceMs: number;
  /** For when somebody is in a hurry; default SIGKILL. */
  readonly hurrySignal?: NodeJS.Signals;
}

const afterKillMs = 5_000;
const afterHurryMs = 5_000;

/** Ends a child; `hurry` (an abort) skips the grace. Resolves when it is gone. */
export async function stopChild(child: Child, manner: StopManner, hurry?: AbortSignal): Promise<void> {
  if (child.hasExited()) return;
  if (!hurry?.aborted) {
    child.process.kill(manner.signal);
    await endsWithin(child, manner.graceMs, hurry);
  }
  if (!child.hasExited() && hurry?.aborted && manner.hurrySignal) {
    child.process.kill(manner.hurrySignal);
    await endsWithin(child, afterHurryMs);
  }
  if (!child.hasExited()) child.process.kill('SIGKILL');
  await child.exited;
}

async function endsWithin(child: Child, timeoutMs: number, cutShort?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    const finish = (): void => {
      clearTimeout(timer);
      cutShort?.removeEventListener('abort', finish);
      resolve();
    };
    cutShort?.addEventListener('abort', finish);
    void child.exited.then(finish);
  });
}

/**
 * Ends a process that an earlier run left behind. Its identity is checked before each signal, because a pid may
 * have gone to another program meanwhile. False when it could not be ended.
 */
export async function endOrphan(orphan: ProcessIdentity, manner: StopManner): Promise<boolean> {
  if (!signalIfSame(orphan, manner.signal)) return true;
  if (await becomesTrue(manner.graceMs, () => !isAlive(orphan))) return true;
  if (!signalIfSame(orphan, 'SIGKILL')) return true;
  return becomesTrue(afterKillMs, () => !isAlive(orphan));
}

function signalIfSame(orphan: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(orphan)) return false;
  try {
    process.kill(orphan.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    // Not ours to signal (EPERM): it stays, and the caller reports that.
  }
  return true;
}
