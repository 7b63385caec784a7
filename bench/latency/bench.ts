import type { Bench } from '../frame/bench';
import { readOptions, wholeNumber } from '../frame/options';
import { latencyLines, measureLatency } from './measure';

/** How long a job of one item takes, from the request to its result. */
export const latencyBench: Bench = {
  about: 'from submitting a job of one item to its result',
  options: ['--samples N         jobs (50)'],
  plan(args) {
    const values = readOptions(args, { samples: { type: 'string' } });
    const samples = wholeNumber('samples', values.samples, 50);
    return {
      run: async (context) => {
        const latency = await measureLatency(context, samples);
        return { lines: latencyLines(latency), data: { options: { samples }, latency } };
      },
    };
  },
};
