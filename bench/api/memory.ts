import path from 'node:path';
import { StartFailure } from '../../tools/process/failure';
import type { BenchContext, BenchOutcome } from '../frame/bench';
import { openRemote } from '../frame/remote';
import { rssBytes } from '../measure/processes';
import { median } from '../measure/stats';
import { megabytes, table, whole } from '../measure/table';
import { openGuarded } from './guarded';
import type { MixedLoad, MixedLoadRequest } from './mixed-load';

export interface MemoryPlan {
  readonly connections: number;
  readonly requestCount: number;
  readonly keyCount: number;
}

const sampleEveryMs = 250;
const parts = 10;
/** Of the middle of the last fifth over that of the second fifth; the first one fills caches and compiles code. */
const growthMax = 1.1;

/** The API's memory over many requests, half of them with one of many keys that nobody was given. */
export async function watchMemory(context: BenchContext, plan: MemoryPlan): Promise<BenchOutcome> {
  const target = await openGuarded(context.facts, 1);
  const { requestCount, keyCount } = plan;
  context.say(
    `\n${whole(requestCount)} requests, every other one with one of ${whole(keyCount)} unknown keys`,
  );
  const samples = sampleMemory(context.facts.pids.api ?? -1);
  const client = openRemote<MixedLoadRequest, MixedLoad>(
    path.join(__dirname, 'mixed-load.js'),
    context.signal,
  );
  const startedAt = performance.now();
  try {
    const answers = await client.ask({ target, ...plan });
    const seconds = (performance.now() - startedAt) / 1_000;
    demandAnswers(answers, requestCount);
    return outcomeOf({ plan, answers, seconds, samples: samples.end() });
  } finally {
    samples.end();
    client.close();
  }
}

/** Bytes, from now on to the end, at equal distances. */
function sampleMemory(pid: number): { end(): number[] } {
  const taken: number[] = [];
  const take = (): void => {
    const bytes = rssBytes(pid);
    if (bytes !== null) taken.push(bytes);
  };
  take();
  const timer = setInterval(take, sampleEveryMs);
  return {
    end: () => {
      clearInterval(timer);
      return taken;
    },
  };
}

/** A good key is always let in, and an unknown one never. */
function demandAnswers(answers: MixedLoad, requestCount: number): void {
  const good = Math.floor(requestCount / 2);
  if (answers['200'] === good && answers['401'] === requestCount - good) return;
  throw new StartFailure(
    `Of ${requestCount} answers, half had to be 200 and half 401: ${JSON.stringify(answers)}`,
  );
}

interface Watched {
  readonly plan: MemoryPlan;
  readonly answers: MixedLoad;
  readonly seconds: number;
  readonly samples: readonly number[];
}

function outcomeOf({ plan, answers, seconds, samples }: Watched): BenchOutcome {
  const levels = Array.from({ length: parts }, (_, part) =>
    median(samples.slice((part * samples.length) / parts, ((part + 1) * samples.length) / parts)),
  );
  const fifth = (from: number): number =>
    median(levels.slice(from, from + parts / 5).filter(Number.isFinite));
  const growth = fifth(parts - parts / 5) / fifth(parts / 5);
  const peakBytes = Math.max(...samples);
  const requestsPerSecond = plan.requestCount / seconds;
  return {
    lines: [
      ...table([
        ['of all requests', ...levels.map((_, part) => `${(part + 1) * (100 / parts)} %`)],
        ['RSS of the API', ...levels.map((bytes) => megabytes(Number.isFinite(bytes) ? bytes : null))],
      ]),
      `Peak ${megabytes(peakBytes)}; the last fifth has ${growth.toFixed(2)} times as much as the second (goal: up to ${growthMax})`,
      `${whole(requestsPerSecond)} requests/s, ${whole(seconds)} s`,
    ],
    data: {
      options: { connections: plan.connections, requests: plan.requestCount, keys: plan.keyCount },
      answers,
      seconds,
      requestsPerSecond,
      levelsBytes: levels,
      peakBytes,
      growth,
      goals: { flat: growth <= growthMax },
    },
  };
}
