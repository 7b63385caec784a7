import { readOptions, wholeNumber } from '../frame/options';
import type { Bench } from '../frame/bench';
import { compare } from './compare';
import { chooseEntrants } from './contenders';
import { growth } from './scale';

const optionsConfig = {
  items: { type: 'string' },
  runs: { type: 'string' },
  only: { type: 'string' },
  samples: { type: 'string' },
  scale: { type: 'boolean' },
} as const;

/** Batches of no-op items, beside a queue on Redis and one on PostgreSQL; or, with `--scale`, beside a larger batch. */
export const batchBench: Bench = {
  about: 'a job of many items, from upload to download, beside BullMQ and Graphile Worker',
  options: [
    '--items N           items of a run (100000)',
    '--runs N            runs of each, interleaved (5)',
    '--only a,c          a BullMQ, b Graphile Worker, c Millrace',
    '--samples N         jobs of one item for the latency (50)',
    '--scale             Millrace alone: N items, and ten times as many',
  ],
  plan(args) {
    const values = readOptions(args, optionsConfig);
    const itemCount = wholeNumber('items', values.items, 100_000);
    if (values.scale) return { run: (context) => growth(context, itemCount) };
    const plan = {
      itemCount,
      runCount: wholeNumber('runs', values.runs, 5),
      sampleCount: wholeNumber('samples', values.samples, 50),
      entrants: chooseEntrants(values.only),
    };
    return { run: (context) => compare(context, plan) };
  },
};
