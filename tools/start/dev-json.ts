import { rmSync } from 'node:fs';
import path from 'node:path';
import { writeJson } from '../process/json-file';
import type { Role } from './roles';

/** Facts of a running copy for tools (benchmarks, the demo, tests), as `dev.json` of the data folder. */
export interface DevFacts {
  readonly api_url: string;
  readonly admin_key: string | null;
  readonly temporal_address: string;
  readonly temporal_ui_url: string | null;
  readonly database_url: string;
  readonly redis_url: string;
  /** null for parts that gave way to a variable. */
  readonly pids: Readonly<Record<Role, number | null>>;
}

export function devJsonFile(dataFolder: string): string {
  return path.join(dataFolder, 'dev.json');
}

export function writeDevJson(dataFolder: string, facts: DevFacts): void {
  writeJson(devJsonFile(dataFolder), facts);
}

/** It is there exactly while a copy is ready: an old one would send tools to addresses where nobody is. */
export function removeDevJson(dataFolder: string): void {
  rmSync(devJsonFile(dataFolder), { force: true });
}
