import { readFileSync, readdirSync, writeFileSync } from 'node:fs';

/** Linux counts processor time in these, on every architecture that Node runs on (USER_HZ, proc(5)). */
const ticksPerSecond = 100;

interface ProcessTimes {
  readonly parent: number;
  readonly ticks: number;
}

/** Processor time of each process by its pid; null where there is no /proc. */
export type Snapshot = ReadonlyMap<number, ProcessTimes> | null;

export function takeSnapshot(): Snapshot {
  if (process.platform !== 'linux') return null;
  const found = new Map<number, ProcessTimes>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const times = timesOf(name);
    if (times) found.set(Number(name), times);
  }
  return found;
}

/**
 * Seconds of processor that a process and all below it have used, those included that have ended since: a parent
 * inherits the time of a child it waited for, as PostgreSQL does with its connections.
 */
export function cpuSeconds(snapshot: Snapshot, root: number): number | null {
  if (!snapshot?.has(root)) return null;
  let ticks = 0;
  for (const [pid, times] of snapshot) {
    if (isBelow(snapshot, pid, root)) ticks += times.ticks;
  }
  return ticks / ticksPerSecond;
}

function isBelow(snapshot: NonNullable<Snapshot>, pid: number, root: number): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 0; at = snapshot.get(at)?.parent) {
    if (at === root) return true;
  }
  return false;
}

function timesOf(pid: string): ProcessTimes | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses, which may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // utime, stime, cutime, cstime are the 14th to 17th field of all.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { parent: Number(fields[1]), ticks };
  } catch {
    // It has ended since the folder was listed.
    return null;
  }
}

/** Lets the peak of a process's memory begin anew; where that is not allowed it goes on since its start. */
export function resetPeak(pid: number): void {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
  } catch {
    // Not Linux, or not ours.
  }
}

/** The most memory (RSS) that a process had since `resetPeak`, in bytes; null where the system doesn't tell. */
export function peakRssBytes(pid: number): number | null {
  return statusBytes(pid, 'VmHWM');
}

/** Its memory (RSS) right now, in bytes; null where the system doesn't tell. */
export function rssBytes(pid: number): number | null {
  return statusBytes(pid, 'VmRSS');
}

function statusBytes(pid: number, field: string): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? [];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}
