import { median } from '../measure/stats';
import { table, whole } from '../measure/table';
import { type Letter, titleOf } from './entrants';
import type { Run } from './run';

export interface Standing {
  readonly letter: Letter;
  readonly runs: readonly Run[];
}

/** What the product promises. */
const p99MsMax = 200;
const bytesMax = 20 * 1024;
/** Ours beside the peer of the same kind. */
const pairs = [
  ['c', 'a'],
  ['d', 'b'],
] as const;

/** The median of what was told; null where nothing was. */
function middle({ runs }: Standing, of: (run: Run) => number | null): number | null {
  const told = runs.map(of).filter((value) => value !== null);
  return told.length === 0 ? null : median(told);
}

const efficiency = (standing: Standing): number | null =>
  middle(standing, (run) => run.deliveriesPerCpuSecond);
const p99 = (standing: Standing): number | null => middle(standing, (run) => run.latencyMs.p99);
const memory = (standing: Standing): number | null => middle(standing, (run) => run.bytesPerConnection.used);

/** How many times as many deliveries ours does in a second of processor time. */
export function ratios(standings: readonly Standing[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [own, peer] of pairs) {
    const [left, right] = [own, peer].map((letter) => {
      const standing = standings.find((one) => one.letter === letter);
      return standing === undefined ? null : efficiency(standing);
    });
    if (left && right) found[`${own}/${peer}`] = left / right;
  }
  return found;
}

export function goalsOf(standings: readonly Standing[]): Record<string, boolean> {
  const goals: Record<string, boolean> = {};
  const mixed = standings.find(({ letter }) => letter === 'e');
  if (mixed !== undefined) {
    const [latency, bytes] = [p99(mixed), memory(mixed)];
    if (latency !== null) goals.p99 = latency < p99MsMax;
    if (bytes !== null) goals.memory = bytes < bytesMax;
  }
  for (const [name, ratio] of Object.entries(ratios(standings))) goals[name] = ratio > 1;
  return goals;
}

export function reportLines(standings: readonly Standing[]): string[] {
  const goals = Object.entries(goalsOf(standings)).map(([name, met]) => `${name} ${met ? 'met' : 'missed'}`);
  return [
    ...table([
      [
        'medians',
        'deliveries/s',
        'p50 ms',
        'p95 ms',
        'p99 ms',
        'of a core',
        'deliveries/CPU s',
        'KB idle',
        'KB used',
        'Redis',
        'runs',
      ],
      ...standings.map(row),
    ]),
    ...Object.entries(ratios(standings)).map(
      ([name, ratio]) => `${name} = ${ratio.toFixed(2)} deliveries for each CPU second (goal: more than 1)`,
    ),
    `Goals (p99 of e under ${p99MsMax} ms, memory of e under ${bytesMax / 1024} KB a connection, ahead of the peers): ${goals.join(', ')}`,
  ];
}

function row(standing: Standing): string[] {
  const { letter, runs } = standing;
  const share = (of: (run: Run) => number | null): string =>
    shown(
      middle(standing, (run) => {
        const seconds = of(run);
        return seconds === null ? null : (100 * seconds) / run.elapsedSeconds;
      }),
      (value) => `${value.toFixed(0)} %`,
    );
  const kilobytes = (of: (run: Run) => number | null): string =>
    shown(middle(standing, of), (bytes) => (bytes / 1024).toFixed(1));
  const ms = (of: keyof Run['latencyMs']): string =>
    shown(
      middle(standing, (run) => run.latencyMs[of]),
      (value) => value.toFixed(1),
    );
  return [
    `${letter}  ${titleOf(letter)}`,
    shown(
      middle(standing, (run) => run.count / run.elapsedSeconds),
      whole,
    ),
    ms('p50'),
    ms('p95'),
    ms('p99'),
    share((run) => run.cpuSeconds),
    shown(efficiency(standing), whole),
    kilobytes((run) => run.bytesPerConnection.idle),
    kilobytes((run) => run.bytesPerConnection.used),
    share((run) => run.redisCpuSeconds),
    String(runs.length),
  ];
}

function shown(value: number | null, as: (value: number) => string): string {
  return value === null ? '-' : as(value);
}
