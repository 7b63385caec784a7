/**
 * Ends this process by SIGKILL when its event loop stands still, as in a handler that never yields: nothing else could. Lost
 * attempts, isolation and `handler_crashed` then find the item (see activities/batch/process-chunk).
 */
import { Worker } from 'node:worker_threads';
import type { WatchdogData } from './watchdog-thread';

export interface WatchdogOptions {
  /** 0: no watchdog */
  limitMs: number;
  /** path of the compiled `watchdog-thread` */
  threadFile: string;
  /** the thread ended or never began: nobody watches */
  onError(error: Error): void;
}

export interface Watchdog {
  stop(): Promise<void>;
}

const TICK_MS = 1_000;
/** At least so many looks go without a tick, so that no single hiccup of the thread decides. */
const LOOKS_MIN = 5;

export function startWatchdog({ limitMs, threadFile, onError }: WatchdogOptions): Watchdog {
  if (limitMs === 0) return { stop: () => Promise.resolve() };
  const tickMs = Math.max(1, Math.min(TICK_MS, Math.floor(limitMs / LOOKS_MIN)));
  const ticks = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const tick = new Int32Array(ticks);
  const data: WatchdogData = {
    ticks,
    lookMs: tickMs,
    looksMax: Math.max(LOOKS_MIN, Math.ceil(limitMs / tickMs)),
  };
  const thread = new Worker(threadFile, { workerData: data });
  thread.on('error', onError);
  const ticking = setInterval(() => Atomics.add(tick, 0, 1), tickMs);
  // Neither keeps a process alive that has nothing else to do.
  thread.unref();
  ticking.unref();
  return {
    async stop() {
      clearInterval(ticking);
      await thread.terminate();
    },
  };
}
