import type { Bench } from '../frame/bench';
import { readOptions, wholeNumber } from '../frame/options';
import { compareStreams } from './compare';
import { readLetters } from './entrants';

const optionsConfig = {
  connections: { type: 'string' },
  topics: { type: 'string' },
  rate: { type: 'string' },
  seconds: { type: 'string' },
  runs: { type: 'string' },
  only: { type: 'string' },
  profile: { type: 'string' },
} as const;

/** What it costs to tell many subscribers on one process, beside servers that do only that. */
export const realtimeBench: Bench = {
  about: 'thousands of streams on one API process, beside better-sse and Socket.IO',
  options: [
    '--connections N     subscribers (10000)',
    '--topics N          that they are spread over (34)',
    '--rate N            events a second, over all topics (100)',
    '--seconds N         of one run (20)',
    '--runs N            runs of each, interleaved (3)',
    '--only a,c          a better-sse, b Socket.IO, c Millrace by SSE, d by WebSocket, e half and half',
    '--profile <folder>  where Node writes a profile of each run of ours',
  ],
  plan(args) {
    const values = readOptions(args, optionsConfig);
    const { profile } = values;
    const plan = {
      connections: wholeNumber('connections', values.connections, 10_000),
      topicCount: wholeNumber('topics', values.topics, 34),
      perSecond: wholeNumber('rate', values.rate, 100),
      seconds: wholeNumber('seconds', values.seconds, 20),
      runCount: wholeNumber('runs', values.runs, 3),
      letters: readLetters(values.only),
      nodeExtra: profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`],
    };
    return { run: (context) => compareStreams(context, plan) };
  },
};
