import { readFileSync } from 'node:fs';
import { StartFailure } from '../../tools/process/failure';
import type { BenchContext, BenchOutcome } from '../frame/bench';
import { whole } from '../measure/table';
import { type Letter, titleOf } from './entrants';
import { goalsOf, ratios, reportLines, type Standing } from './report';
import { type Run, type RunPlan, runOnce } from './run';
import { openTopics } from './topics';

export interface ComparePlan extends RunPlan {
  readonly topicCount: number;
  readonly runCount: number;
  readonly letters: readonly Letter[];
}

/** Beside its connections a server has files, and connections to other servers. */
const spareDescriptors = 200;

/** The same events to each in turn, again and again, so that what disturbs the machine disturbs all alike. */
export async function compareStreams(context: BenchContext, plan: ComparePlan): Promise<BenchOutcome> {
  const { connections, topicCount, perSecond, seconds, runCount, letters } = plan;
  demandDescriptors(connections + spareDescriptors);
  const topics = await openTopics(context.facts, topicCount);
  const runs = new Map<Letter, Run[]>(letters.map((letter) => [letter, []]));
  context.say(
    `\n${whole(connections)} subscribers on ${topicCount} topics, ${perSecond} events/s, ${seconds} s:` +
      ` ${whole((connections / topicCount) * perSecond)} deliveries/s`,
  );
  for (let run = 1; run <= runCount; run += 1) {
    for (const letter of letters) {
      const measured = await runOnce(context, plan, { letter, run: `${letter}${run}`, topics });
      runs.get(letter)?.push(measured);
      context.say(`run ${run} of ${runCount}   ${letter} ${titleOf(letter)}: ${runLine(measured)}`);
    }
  }
  const standings = letters.map((letter): Standing => ({ letter, runs: runs.get(letter) ?? [] }));
  return {
    lines: reportLines(standings),
    data: {
      options: { connections, topics: topicCount, rate: perSecond, seconds, runs: runCount },
      entrants: Object.fromEntries(
        standings.map(({ letter, ...rest }) => [letter, { title: titleOf(letter), ...rest }]),
      ),
      ratios: ratios(standings),
      goals: goalsOf(standings),
    },
  };
}

function runLine({ latencyMs, deliveriesPerCpuSecond, bytesPerConnection: { used } }: Run): string {
  const efficiency = deliveriesPerCpuSecond === null ? '-' : whole(deliveriesPerCpuSecond);
  const memory = used === null ? '-' : (used / 1024).toFixed(1);
  return `p99 ${latencyMs.p99.toFixed(1)} ms, ${efficiency} deliveries/CPU s, ${memory} KB a connection`;
}

/** Node raises the soft limit to the hard one by itself. */
function demandDescriptors(needed: number): void {
  const limit = hardLimit();
  if (limit >= needed) return;
  throw new StartFailure(
    `A process may have ${limit} files open here, and this takes ${needed}: raise \`ulimit -n\`, or ask for fewer --connections`,
  );
}

function hardLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const [, hard = ''] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits) ?? [];
    return hard === 'unlimited' ? Infinity : Number(hard);
  } catch {
    // Not Linux: it will show.
    return Infinity;
  }
}
