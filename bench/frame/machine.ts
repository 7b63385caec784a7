import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { median } from '../measure/stats';

export interface MachineFacts {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryBytes: number;
  readonly system: string;
  readonly node: string;
  /** Median of writing 8 KB through to the disk that holds the servers' data, in milliseconds. */
  readonly diskSyncMs: number;
  /** Whether that disk is memory, which survives no loss of power. */
  readonly diskIsMemory: boolean;
  /** Processes that wanted to run, over the minute before; near 0 on a quiet machine. */
  readonly loadBefore: number;
}

const syncs = 50;
const blockBytes = 8 * 1024;
/** `f_type` of tmpfs and ramfs on Linux (statfs(2)). */
const memoryFileSystems = new Set([0x01021994, 0x858458f6]);

export function machineFacts(folder: string): MachineFacts {
  const cpus = os.cpus();
  return {
    cores: os.availableParallelism(),
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.versions.node,
    diskSyncMs: measureSync(folder),
    diskIsMemory: memoryFileSystems.has(statfsSync(folder).type),
    loadBefore: os.loadavg()[0] ?? 0,
  };
}

export function machineLines(facts: MachineFacts): string[] {
  const { cores, cpu, memoryBytes, node, diskSyncMs, diskIsMemory, loadBefore } = facts;
  const gigabytes = (memoryBytes / 1024 ** 3).toFixed(1);
  const lines = [
    `Machine   ${cores} cores (${cpu}), ${gigabytes} GB, ${facts.system}, Node ${node}`,
    `Disk      8 KB written through in ${diskSyncMs.toFixed(2)} ms (median of ${syncs})`,
  ];
  if (diskIsMemory)
    lines.push('          … and it is memory: set TMPDIR to a folder on a disk for honest figures');
  if (loadBefore > cores / 4) {
    lines.push(
      `Load      ${loadBefore.toFixed(2)} before the start: other programs are at work, the figures will spread`,
    );
  }
  return lines;
}

function measureSync(folder: string): number {
  const file = path.join(folder, 'sync-probe');
  const handle = openSync(file, 'w');
  const block = Buffer.alloc(blockBytes, 1);
  const times: number[] = [];
  try {
    for (let n = 0; n < syncs; n += 1) {
      const startedAt = performance.now();
      writeSync(handle, block);
      fdatasyncSync(handle);
      times.push(performance.now() - startedAt);
    }
  } finally {
    closeSync(handle);
    rmSync(file);
  }
  return median(times);
}
