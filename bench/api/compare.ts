import path from 'node:path';
import type { BenchContext, BenchOutcome } from '../frame/bench';
import { type Remote, openRemote } from '../frame/remote';
import { cpuSeconds, takeSnapshot } from '../measure/processes';
import { median } from '../measure/stats';
import { whole } from '../measure/table';
import { type Entrant, type EntrantLetter, openEntrant, ours } from './entrants';
import { openGuarded } from './guarded';
import type { Load, LoadRequest } from './load';
import { type ApiStanding, type Run, comparisonLines, goalsOf, ratios } from './report';

export interface ComparePlan {
  readonly connections: number;
  readonly seconds: number;
  readonly runCount: number;
  readonly jobCount: number;
  readonly letters: readonly EntrantLetter[];
}

/** Much code is on the way of a guarded request: it takes some seconds until all of it is compiled. */
const warmUpSecondsMax = 10;

/** The same requests to each in turn, again and again, so that what disturbs the machine disturbs all alike. */
export async function compareApis(context: BenchContext, plan: ComparePlan): Promise<BenchOutcome> {
  const { connections, seconds, runCount, jobCount, letters } = plan;
  const guarded = await openGuarded(context.facts, jobCount);
  const client: Remote<LoadRequest, Load> = openRemote(path.join(__dirname, 'load.js'), context.signal);
  const opened: Entrant[] = [];
  const runs = new Map<EntrantLetter, Run[]>(letters.map((letter) => [letter, []]));
  const load = (entrant: Entrant, how: { seconds: number; rate?: number }): Promise<Run> =>
    measure(client, entrant, { target: entrant.target, connections, ...how });
  try {
    for (const letter of letters) opened.push(await openEntrant(context, letter, guarded));
    context.say(`\nWarming up; ${connections} connections ask for ${jobCount} jobs in turn`);
    for (const entrant of opened) await load(entrant, { seconds: Math.min(2 * seconds, warmUpSecondsMax) });
    for (let run = 1; run <= runCount; run += 1) {
      for (const entrant of opened) {
        const measured = await load(entrant, { seconds });
        runs.get(entrant.letter)?.push(measured);
        const { letter, title } = entrant;
        context.say(
          `run ${run} of ${runCount}   ${letter} ${title}: ${whole(measured.perSecond)} requests/s`,
        );
      }
    }
    const standings = opened.map(({ letter, title }): ApiStanding => {
      return { letter, title, runs: runs.get(letter) ?? [] };
    });
    const own = opened.find(({ letter }) => letter === ours);
    const rate = Math.max(
      1,
      Math.floor(median((runs.get(ours) ?? []).map(({ perSecond }) => perSecond)) / 2),
    );
    const half = own === undefined ? null : { rate, ...(await load(own, { seconds, rate })) };
    return {
      lines: comparisonLines(standings, half),
      data: {
        options: { connections, seconds, runs: runCount, jobs: jobCount },
        entrants: Object.fromEntries(standings.map(({ letter, ...standing }) => [letter, standing])),
        ratios: ratios(standings),
        half,
        goals: goalsOf(standings, half),
      },
    };
  } finally {
    client.close();
    for (const { close } of opened) close();
  }
}

async function measure(
  client: Remote<LoadRequest, Load>,
  { pid }: Entrant,
  request: LoadRequest,
): Promise<Run> {
  const before = cpuSeconds(takeSnapshot(), pid);
  const load = await client.ask(request);
  const after = cpuSeconds(takeSnapshot(), pid);
  const cpuMicros = before === null || after === null ? null : ((after - before) / load.requests) * 1e6;
  return { ...load, cpuMicros };
}
