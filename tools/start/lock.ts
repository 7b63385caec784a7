import { linkSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartFailure } from '../process/failure';
import { type ProcessIdentity, identify, isAlive } from '../process/identity';
import { readJson, writeJson } from '../process/json-file';

interface LockRecord {
  readonly holder: ProcessIdentity;
  /** Processes whose end is the end of the holder, such as the `npm` in front of it. */
  readonly leaders: readonly ProcessIdentity[];
  readonly address: string | null;
  readonly stopping: boolean;
}

/** One run at a time per data folder. */
export interface Lock {
  /** Tells later starts where this run can be reached. */
  setAddress(address: string): void;
  /** Tells later starts to wait, because this run is about to end. */
  setStopping(): void;
  release(): void;
}

const settleMs = 100;
const waitForEndMs = 60_000;
const lookEveryMs = 100;

/**
 * Takes the lock of a data folder; `onWait` is told when an earlier run has to end first.
 * @throws StartFailure when a run is there to stay; it names the pid and the address.
 */
export async function takeLock(
  dataFolder: string,
  leaders: readonly ProcessIdentity[],
  onWait: (text: string) => void,
): Promise<Lock> {
  const file = path.join(dataFolder, 'lock.json');
  const holder = identify(process.pid);
  if (!holder) throw new StartFailure('This system does not tell which processes run (no /proc and no ps)');
  const record: LockRecord = { holder, leaders, address: null, stopping: false };
  const deadline = performance.now() + waitForEndMs;
  while (!(await tryTake(file, record))) {
    const other = readLock(file);
    if (other && isAlive(other.holder)) {
      if (!isEnding(other) || performance.now() > deadline) throw alreadyRuns(dataFolder, other);
      onWait(`Waiting for an earlier run (pid ${other.holder.pid}) to end`);
    }
    await delay(lookEveryMs);
  }
  return heldLock(file, record);
}

function heldLock(file: string, taken: LockRecord): Lock {
  let record = taken;
  const update = (change: Partial<LockRecord>): void => {
    record = { ...record, ...change };
    writeJson(file, record);
  };
  return {
    setAddress: (address) => {
      update({ address });
    },
    setStopping: () => {
      update({ stopping: true });
    },
    release: () => {
      rmSync(file, { force: true });
    },
  };
}

/**
 * A link puts the file in place with its content, or fails because there is one. Taking over a stale one is not
 * atomic (two starts may both find it stale, and the slower one then moves the faster one's lock away), so whoever
 * took over looks again a moment later.
 */
async function tryTake(file: string, record: LockRecord): Promise<boolean> {
  const own = `${file}.${process.pid}`;
  writeJson(own, record);
  try {
    const stale = staleLock(file);
    if (stale !== null && !moveAway(file, stale)) return false;
    linkSync(own, file);
    if (stale === null) return true;
    await delay(settleMs);
    return readLock(file)?.holder.pid === process.pid;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** The text of a lock whose holder is gone; null when there is none, or its holder lives. */
function staleLock(file: string): string | null {
  const record = readLock(file);
  if (record && isAlive(record.holder)) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function moveAway(file: string, expected: string): boolean {
  const aside = `${file}.${process.pid}.stale`;
  try {
    renameSync(file, aside);
    if (readFileSync(aside, 'utf8') === expected) return true;
    // Another start has just taken over: its lock goes back.
    linkSync(aside, file);
    return false;
  } catch {
    return false;
  } finally {
    rmSync(aside, { force: true });
  }
}

function readLock(file: string): LockRecord | null {
  const record = readJson(file) as Partial<LockRecord> | null;
  return record?.holder ? (record as LockRecord) : null;
}

/** A run whose leader was killed notices that within a second and ends. */
function isEnding(record: LockRecord): boolean {
  return record.stopping || record.leaders.some((leader) => !isAlive(leader));
}

function alreadyRuns(dataFolder: string, { holder, address }: LockRecord): StartFailure {
  const where = address ? ` at ${address}` : ' and is still starting';
  return new StartFailure(
    `Millrace already runs with the data folder ${dataFolder}: pid ${holder.pid}${where}.\n` +
      'Stop it first, or set MILLRACE_DATA_DIR to another folder for a second copy.',
  );
}
