import { copyFileSync, existsSync, mkdirSync, openSync, renameSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';

const atStartBytesMax = 2 * 1024 * 1024;
const whileRunningBytesMax = 20 * 1024 * 1024;
const checkEveryMs = 15_000;

/** Opens a log for appending; one that grew large in earlier runs is moved to `<name>.1` first. */
export function openLog(file: string): number {
  mkdirSync(path.dirname(file), { recursive: true });
  if (existsSync(file) && statSync(file).size > atStartBytesMax) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/**
 * Keeps logs bounded while their writers run: a full one is copied to `<name>.1` and cut.
 * The children hold the files open themselves (their logging then outlives a killed parent), so a rename would not
 * stop them from writing on; they append, so after the cut they go on at the new end.
 */
export function keepLogsBounded(files: () => Iterable<string>): () => void {
  const timer = setInterval(() => {
    for (const file of files()) cutWhenFull(file);
  }, checkEveryMs);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

function cutWhenFull(file: string): void {
  try {
    if (statSync(file).size <= whileRunningBytesMax) return;
    copyFileSync(file, `${file}.1`);
    truncateSync(file);
  } catch {
    // A log that can't be cut now is looked at again in a few seconds; it is no reason to stop.
  }
}
