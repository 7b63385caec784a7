import { median, summarise } from '../measure/stats';
import { percent, table, whole } from '../measure/table';
import { type EntrantLetter, ours } from './entrants';
import type { Load } from './load';

export interface Run extends Load {
  /** Of the server's process, each request; null where the system doesn't tell. */
  readonly cpuMicros: number | null;
}

export interface ApiStanding {
  readonly letter: EntrantLetter;
  readonly title: string;
  readonly runs: readonly Run[];
}

/** A run of ours at half of its peak. */
export type HalfRun = Run & { readonly rate: number };

/** What the product promises: the benchmark's goals, and the bar that must be met. */
const ratioMin = 0.7;
const halfP95MsMax = 20;
const barPerMinute = 10_000;
const barP95MsMax = 300;

const perSecond = ({ runs }: ApiStanding): number => median(runs.map((run) => run.perSecond));
const p95 = ({ runs }: ApiStanding): number => median(runs.map((run) => run.latencyMs.p95));

/** How much of each other's rate ours has, by the medians. */
export function ratios(standings: readonly ApiStanding[]): Record<string, number> {
  const own = standings.find(({ letter }) => letter === ours);
  if (own === undefined) return {};
  return Object.fromEntries(
    standings
      .filter((other) => other !== own)
      .map((other) => [`${ours}/${other.letter}`, perSecond(own) / perSecond(other)]),
  );
}

export function goalsOf(standings: readonly ApiStanding[], half: HalfRun | null): Record<string, boolean> {
  const own = standings.find(({ letter }) => letter === ours);
  const ratio = ratios(standings)[`${ours}/a`];
  return {
    ...(ratio !== undefined && { ratio: ratio >= ratioMin }),
    ...(half !== null && { half: half.latencyMs.p95 < halfP95MsMax }),
    ...(own !== undefined && { bar: perSecond(own) * 60 >= barPerMinute && p95(own) < barP95MsMax }),
  };
}

export function comparisonLines(standings: readonly ApiStanding[], half: HalfRun | null): string[] {
  return [
    ...rateTable(standings),
    ...Object.entries(ratios(standings)).map(([name, ratio]) =>
      name === `${ours}/a`
        ? `${name} = ${ratio.toFixed(2)} (goal: at least ${ratioMin})`
        : `${name} = ${ratio.toFixed(2)}`,
    ),
    ...(half === null ? [] : [halfLine(half)]),
    ...standings.filter(({ letter }) => letter === ours).map(barLine),
  ];
}

function rateTable(standings: readonly ApiStanding[]): string[] {
  const middle = (runs: readonly Run[], of: (run: Run) => number): string => median(runs.map(of)).toFixed(1);
  return table([
    ['requests/s', 'median', 'min', 'max', 'spread', 'p50 ms', 'p95 ms', 'p99 ms', 'CPU µs', 'runs'],
    ...standings.map(({ letter, title, runs }) => {
      const rate = summarise(runs.map((run) => run.perSecond));
      return [
        `${letter}  ${title}`,
        whole(rate.median),
        whole(rate.min),
        whole(rate.max),
        percent(rate.spread),
        middle(runs, ({ latencyMs }) => latencyMs.p50),
        middle(runs, ({ latencyMs }) => latencyMs.p95),
        middle(runs, ({ latencyMs }) => latencyMs.p99),
        runs.some(({ cpuMicros }) => cpuMicros === null) ? '-' : middle(runs, (run) => run.cpuMicros ?? 0),
        String(runs.length),
      ];
    }),
  ]);
}

function halfLine({ rate, latencyMs: { p50, p95: high, p99 } }: HalfRun): string {
  const figures = `p50 ${p50.toFixed(1)} ms, p95 ${high.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`;
  return `c at half of its peak, ${whole(rate)} requests/s: ${figures} (goal: p95 under ${halfP95MsMax} ms)`;
}

function barLine(own: ApiStanding): string {
  const perMinute = perSecond(own) * 60;
  const times = (perMinute / barPerMinute).toFixed(1);
  const bar = `${whole(barPerMinute)} requests a minute with a p95 under ${barP95MsMax} ms`;
  return `The bar is ${bar}: one process of c does ${whole(perMinute)}, ${times} times as many, with ${p95(own).toFixed(1)} ms`;
}
