import type { Measured } from '../contenders/contender';
import { type RemoteContender, openContender } from '../contenders/remote';
import type { BenchContext, BenchOutcome } from '../frame/bench';
import { latencyLines, measureLatency } from '../latency/measure';
import { summarise } from '../measure/stats';
import { whole } from '../measure/table';
import { type Entrant, ours } from './contenders';
import { type Standing, comparisonLines, ratios } from './report';
import { warmUpItems } from './warm-up';

export interface ComparePlan {
  readonly itemCount: number;
  readonly runCount: number;
  readonly sampleCount: number;
  readonly entrants: readonly Entrant[];
}

/** The same items through each entrant in turn, again and again, so that what disturbs the machine disturbs all alike. */
export async function compare(context: BenchContext, plan: ComparePlan): Promise<BenchOutcome> {
  const { itemCount, runCount, entrants } = plan;
  const place = { facts: context.facts, folder: context.folder };
  const remotes: RemoteContender[] = [];
  const measured = entrants.map((): Measured[] => []);
  try {
    for (const { entry } of entrants) remotes.push(await openContender(entry, place, context.signal));
    context.say(`\nWarming up with ${whole(warmUpItems(itemCount))} items each`);
    for (const remote of remotes) await remote.run(warmUpItems(itemCount));
    for (let run = 1; run <= runCount; run += 1) {
      for (const [at, { letter, title }] of entrants.entries()) {
        const result = await (remotes[at] as RemoteContender).run(itemCount);
        measured[at]?.push(result);
        context.say(
          `run ${run} of ${runCount}   ${letter} ${title}: ${whole(result.itemsPerSecond)} items/s`,
        );
      }
    }
  } finally {
    for (const remote of remotes) remote.close();
  }
  const standings = entrants.map((entrant, at): Standing => {
    const runs = measured[at] ?? [];
    return { ...entrant, runs, itemsPerSecond: summarise(runs.map((run) => run.itemsPerSecond)) };
  });
  const withOurs = entrants.some(({ letter }) => letter === ours);
  const latency = withOurs ? await measureLatency(context, plan.sampleCount) : null;
  return {
    lines: [...comparisonLines(standings, itemCount), ...(latency ? ['', ...latencyLines(latency)] : [])],
    data: {
      options: { items: itemCount, runs: runCount },
      contenders: Object.fromEntries(standings.map(({ letter, ...standing }) => [letter, standing])),
      ratios: ratios(standings),
      latency,
    },
  };
}
