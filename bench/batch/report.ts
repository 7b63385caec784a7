import type { Measured } from '../contenders/contender';
import { type Summary, median } from '../measure/stats';
import { megabytes, percent, table, whole } from '../measure/table';
import { type Group, groups } from '../measure/usage';
import { type Entrant, ours } from './contenders';

export interface Standing extends Entrant {
  readonly runs: readonly Measured[];
  readonly itemsPerSecond: Summary;
}

const perItems = 100_000;

const groupTitles: Readonly<Record<Group, string>> = {
  own: 'own process (for c: the client)',
  api: 'API',
  worker: 'worker',
  postgres: 'PostgreSQL',
  temporal: 'Temporal',
  redis: 'Redis',
};

/** How many times as fast as each of the others ours is, by the medians. */
export function ratios(standings: readonly Standing[]): Record<string, number> {
  const own = standings.find(({ letter }) => letter === ours);
  if (!own) return {};
  return Object.fromEntries(
    standings
      .filter(({ letter }) => letter !== ours)
      .map(({ letter, itemsPerSecond }) => [
        `${ours}/${letter}`,
        own.itemsPerSecond.median / itemsPerSecond.median,
      ]),
  );
}

export function comparisonLines(standings: readonly Standing[], itemCount: number): string[] {
  const own = standings.find(({ letter }) => letter === ours);
  return [
    ...rateTable(standings, itemCount),
    ...Object.entries(ratios(standings)).map(([name, ratio]) => `${name} = ${ratio.toFixed(2)}`),
    '',
    ...cpuTable(standings),
    ...(own ? ['', phaseLine(own.runs), peakLine(own.runs)] : []),
  ];
}

function rateTable(standings: readonly Standing[], itemCount: number): string[] {
  return table([
    [`items/s, ${whole(itemCount)} items`, 'median', 'min', 'max', 'spread', 'runs'],
    ...standings.map(({ letter, title, itemsPerSecond: rate, runs }) => [
      `${letter}  ${title}`,
      whole(rate.median),
      whole(rate.min),
      whole(rate.max),
      percent(rate.spread),
      String(runs.length),
    ]),
  ]);
}

/** Medians over the runs; what the servers of ours do beside a peer's run shows in that peer's column. */
function cpuTable(standings: readonly Standing[]): string[] {
  const cell = (runs: readonly Measured[], group: Group): number =>
    median(runs.map((run) => ((run.cpuSeconds[group] ?? Number.NaN) * perItems) / run.itemCount));
  const show = (seconds: number): string => (Number.isNaN(seconds) ? '-' : seconds.toFixed(2));
  return table([
    [`CPU seconds per ${whole(perItems)} items`, ...standings.map(({ letter }) => letter)],
    ...groups.map((group) => [groupTitles[group], ...standings.map(({ runs }) => show(cell(runs, group)))]),
    [
      'all of them',
      ...standings.map(({ runs }) => show(groups.reduce((sum, group) => sum + cell(runs, group), 0))),
    ],
  ]);
}

export function phaseLine(runs: readonly Measured[]): string {
  const names = Object.keys(runs[0]?.phasesMs ?? {});
  const parts = names.map(
    (name) => `${name} ${whole(median(runs.map((run) => run.phasesMs[name] ?? Number.NaN)))} ms`,
  );
  return `Phases of c (medians): ${parts.join(', ')}`;
}

function peakLine(runs: readonly Measured[]): string {
  const peak = (of: 'api' | 'worker'): string => megabytes(peakOf(runs, of));
  return `Peak memory (RSS) of c: API ${peak('api')}, worker ${peak('worker')}`;
}

export function peakOf(runs: readonly Measured[], of: 'api' | 'worker'): number | null {
  const known = runs.flatMap((run) => run.peakRssBytes[of] ?? []);
  return known.length === 0 ? null : Math.max(...known);
}
