/**
 * Entry of the watchdog's thread. It counts its own short sleeps, not time: a process that was stopped and goes on, or a
 * machine that slept, has not frozen.
 */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';

export interface WatchdogData {
  /** one Int32 that the main thread moves */
  ticks: SharedArrayBuffer;
  /** between two looks */
  lookMs: number;
  /** looks in a row without a move after which the process ends */
  looksMax: number;
}

const STDERR = 2;

function watch({ ticks, lookMs, looksMax }: WatchdogData): void {
  const tick = new Int32Array(ticks);
  let seen = Atomics.load(tick, 0);
  let silent = 0;
  setInterval(() => {
    const now = Atomics.load(tick, 0);
    silent = now === seen ? silent + 1 : 0;
    seen = now;
    if (silent >= looksMax) end(looksMax * lookMs);
  }, lookMs);
}

/** The main thread can do nothing any more, so the line is written from here, and no handler of a signal would run. */
function end(frozenMs: number): void {
  const message = `the event loop stood still for ${frozenMs} ms: the worker ends itself`;
  const line = { level: 'fatal', time: new Date().toISOString(), role: 'worker', pid: process.pid, message };
  try {
    writeSync(STDERR, `${JSON.stringify(line)}\n`);
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}

watch(workerData as WatchdogData);
