import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { rssBytes } from '../measure/processes';

const signal = 'SIGUSR2';
const settleMs = 500;
const roundsMin = 4;
const roundsMax = 20;
/** Less than this is not worth another round. */
const gainMin = 0.005;

/** From now on this process gives back what it does not use when it is asked to. */
export function collectOnSignal(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as (how: object) => void;
  process.on(signal, () => collect({ type: 'major', execution: 'sync', flavor: 'last-resort' }));
}

/**
 * Asks a process that has said `collectOnSignal`, again and again until it gets no smaller: code that is no longer used, for
 * example, goes only by the third time.
 * @returns bytes of resident memory; null where the system doesn't tell
 */
export async function leanBytes(pid: number): Promise<number | null> {
  let least = Infinity;
  for (let round = 1; round <= roundsMax; round += 1) {
    process.kill(pid, signal);
    await delay(settleMs);
    const bytes = rssBytes(pid);
    if (bytes === null) return null;
    if (round >= roundsMin && bytes > least * (1 - gainMin)) return Math.min(bytes, least);
    least = Math.min(bytes, least);
  }
  return least;
}
