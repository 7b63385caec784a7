import path from 'node:path';
import { StartFailure } from '../process/failure';
import { readJson, writeJson } from '../process/json-file';
import { findFreePort, isPortFree } from '../servers/ports';
import { type PortName, type Settings, portVariable } from './settings';

export interface Ports {
  readonly of: Readonly<Record<PortName, number>>;
  /** Default ports that somebody else has, so that a person can be told. */
  readonly displaced: readonly { readonly name: PortName; readonly port: number }[];
}

const names: readonly PortName[] = ['api', 'temporal_ui', 'temporal', 'postgres', 'redis'];
const defaults: Partial<Record<PortName, number>> = { api: 3000, temporal_ui: 8233 };

/**
 * Chooses each port: the one given by a variable, that of the last run, the default, or a free one.
 * They are kept in the data folder: after a restart, what still knows the old addresses (a browser tab, a link to a
 * workflow, a client) finds them again.
 */
export async function choosePorts(settings: Settings): Promise<Ports> {
  const file = path.join(settings.dataFolder, 'ports.json');
  const kept = (readJson(file) ?? {}) as Partial<Record<PortName, number>>;
  const of: Partial<Record<PortName, number>> = {};
  const displaced: { name: PortName; port: number }[] = [];
  for (const name of names) {
    const taken = new Set(Object.values(of));
    const wanted = settings.ports[name];
    const port = wanted === undefined ? await usual(name, kept, taken) : await given(name, wanted);
    const fallback = defaults[name];
    if (wanted === undefined && fallback !== undefined && port !== fallback)
      displaced.push({ name, port: fallback });
    of[name] = port;
  }
  writeJson(file, of);
  return { of: of as Record<PortName, number>, displaced };
}

async function given(name: PortName, port: number): Promise<number> {
  if (port === 0) return findFreePort();
  if (await isPortFree(port)) return port;
  throw new StartFailure(`Port ${port} (${portVariable(name)}) is in use by another program`);
}

async function usual(
  name: PortName,
  kept: Partial<Record<PortName, number>>,
  taken: ReadonlySet<number>,
): Promise<number> {
  for (const port of [kept[name], defaults[name]]) {
    if (port !== undefined && !taken.has(port) && (await isPortFree(port))) return port;
  }
  return findFreePort(taken);
}
