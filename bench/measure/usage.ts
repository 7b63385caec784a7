import type { DevFacts } from '../../tools/start/dev-json';
import { cpuSeconds, peakRssBytes, resetPeak, takeSnapshot } from './processes';

/** Who uses the processor: the process that hands items over (and, for the peers, works on them), and the rest. */
export const groups = ['own', 'api', 'worker', 'postgres', 'temporal', 'redis'] as const;
export type Group = (typeof groups)[number];

export interface Usage {
  readonly cpuSeconds: Readonly<Record<Group, number | null>>;
  readonly peakRssBytes: Readonly<Record<'own' | 'api' | 'worker', number | null>>;
}

/** Begins to watch this process and those of a copy; the answer tells what they used since. */
export function watchUsage({ pids }: Pick<DevFacts, 'pids'>): () => Usage {
  const pidOf = (group: Group): number => (group === 'own' ? process.pid : (pids[group] ?? -1));
  const remembered = ['own', 'api', 'worker'] as const;
  for (const group of remembered) resetPeak(pidOf(group));
  const before = takeSnapshot();
  const used = (group: Group, after: typeof before): number | null => {
    const [from, to] = [cpuSeconds(before, pidOf(group)), cpuSeconds(after, pidOf(group))];
    return from === null || to === null ? null : to - from;
  };
  return () => {
    const after = takeSnapshot();
    return {
      cpuSeconds: record(groups, (group) => used(group, after)),
      peakRssBytes: record(remembered, (group) => peakRssBytes(pidOf(group))),
    };
  };
}

function record<K extends string, V>(keys: readonly K[], valueOf: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, valueOf(key)])) as Record<K, V>;
}
