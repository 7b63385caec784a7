import { rmSync } from 'node:fs';
import path from 'node:path';
import type { ProcessIdentity } from '../process/identity';
import { readJson, writeJson } from '../process/json-file';
import { type Role, roles } from './roles';

/** The children that run now, so that a start after a kill finds what was left. */
export interface StateFile {
  /** What an earlier run that was killed may have left behind. */
  readonly leftovers: ReadonlyMap<Role, ProcessIdentity>;
  record(role: Role, identity: ProcessIdentity): void;
  forget(role: Role): void;
  remove(): void;
}

/** Opens `run.json` of the data folder; the caller holds its lock. */
export function openStateFile(dataFolder: string): StateFile {
  const file = path.join(dataFolder, 'run.json');
  const leftovers = readChildren(file);
  const children = new Map(leftovers);
  const save = (): void => {
    writeJson(file, { version: 1, children: Object.fromEntries(children) });
  };
  return {
    leftovers,
    record: (role, identity) => {
      children.set(role, identity);
      save();
    },
    forget: (role) => {
      children.delete(role);
      save();
    },
    remove: () => {
      rmSync(file, { force: true });
    },
  };
}

function readChildren(file: string): Map<Role, ProcessIdentity> {
  const state = readJson(file) as { children?: Partial<Record<Role, Partial<ProcessIdentity>>> } | null;
  const children = new Map<Role, ProcessIdentity>();
  for (const role of roles) {
    const identity = state?.children?.[role];
    if (typeof identity?.pid === 'number' && identity.startedAt && identity.program) {
      children.set(role, identity as ProcessIdentity);
    }
  }
  return children;
}
