import { type ProcessIdentity, identify, isAlive, parentOf } from '../process/identity';

const lookEveryMs = 500;
const shells = new Set(['sh', 'bash', 'dash', 'ash', 'zsh']);

/**
 * The processes that `npm start` put in front of us: npm, and maybe a shell between. Whoever kills these in a way
 * that can't be passed on (kill -9) has ended the run; without them nobody holds our terminal.
 * Started without npm, there are none: a shell that ends is no reason to stop what it put in the background.
 */
export function findLeaders(env: NodeJS.ProcessEnv): ProcessIdentity[] {
  if (!env.npm_lifecycle_event) return [];
  const parent = identify(process.ppid);
  if (!parent) return [];
  const grandparent = shells.has(parent.program) ? identify(parentOf(parent.pid) ?? 0) : null;
  return grandparent ? [parent, grandparent] : [parent];
}

/** Calls `onGone` when one of the leaders has ended. */
export function watchLeaders(leaders: readonly ProcessIdentity[], onGone: () => void): void {
  if (leaders.length === 0) return;
  const timer = setInterval(() => {
    if (leaders.every(isAlive)) return;
    clearInterval(timer);
    onGone();
  }, lookEveryMs);
  timer.unref();
}
