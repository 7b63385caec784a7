import type { Measured } from '../contenders/contender';
import { openContender } from '../contenders/remote';
import type { BenchContext, BenchOutcome } from '../frame/bench';
import { megabytes, table, whole } from '../measure/table';
import { peakOf } from './report';
import { warmUpItems } from './warm-up';

const growthFactor = 10;
/** What the product promises: DESIGN and the benchmark's goal. */
const costRatioMax = 1.2;
const peakBytesMax = 400 * 1024 ** 2;

/** One job of `itemCount` items and one of ten times as many: an item should cost the same in both. */
export async function growth(context: BenchContext, itemCount: number): Promise<BenchOutcome> {
  const place = { facts: context.facts, folder: context.folder };
  const millrace = await openContender('millrace', place, context.signal);
  const runs: Measured[] = [];
  try {
    const sizes = [itemCount, itemCount * growthFactor];
    context.say(`\nWarming up with ${whole(warmUpItems(itemCount))} items`);
    await millrace.run(warmUpItems(itemCount));
    for (const size of sizes) {
      const run = await millrace.run(size);
      runs.push(run);
      context.say(`${whole(size)} items: ${whole(run.itemsPerSecond)} items/s`);
    }
  } finally {
    millrace.close();
  }
  const [small, large] = runs as [Measured, Measured];
  const costRatio = small.itemsPerSecond / large.itemsPerSecond;
  const peaks = (['api', 'worker'] as const).map((of) => peakOf(runs, of));
  return {
    lines: [
      ...growthTable(runs),
      `An item of the larger job costs ${costRatio.toFixed(2)} times as much (goal: up to ${costRatioMax})`,
      `Peak memory (RSS): API ${megabytes(peaks[0] ?? null)}, worker ${megabytes(peaks[1] ?? null)}` +
        ` (goal: below ${megabytes(peakBytesMax)} each)`,
    ],
    data: {
      options: { items: itemCount, scale: growthFactor },
      runs,
      costRatio,
      goals: {
        flat: costRatio <= costRatioMax,
        small: peaks.every((peak) => peak === null || peak < peakBytesMax),
      },
    },
  };
}

function growthTable(runs: readonly Measured[]): string[] {
  const phases = Object.keys(runs[0]?.phasesMs ?? {});
  return table([
    ['items', 'items/s', 'µs/item', ...phases.map((name) => `${name} ms`), 'API RSS', 'worker RSS'],
    ...runs.map((run) => [
      whole(run.itemCount),
      whole(run.itemsPerSecond),
      ((run.elapsedMs / run.itemCount) * 1_000).toFixed(1),
      ...phases.map((name) => whole(run.phasesMs[name] ?? Number.NaN)),
      megabytes(run.peakRssBytes.api),
      megabytes(run.peakRssBytes.worker),
    ]),
  ]);
}
