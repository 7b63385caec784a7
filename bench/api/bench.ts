import { StartFailure } from '../../tools/process/failure';
import type { Bench } from '../frame/bench';
import { readOptions, wholeNumber } from '../frame/options';
import { compareApis } from './compare';
import { type EntrantLetter, entrants } from './entrants';
import { watchMemory } from './memory';

const optionsConfig = {
  seconds: { type: 'string' },
  runs: { type: 'string' },
  connections: { type: 'string' },
  jobs: { type: 'string' },
  only: { type: 'string' },
  memory: { type: 'boolean' },
  requests: { type: 'string' },
  keys: { type: 'string' },
} as const;

/** What reading one job costs with all guards on, beside servers that have fewer or none. */
export const apiBench: Bench = {
  about: 'GET /v1/jobs/{id} with key, limits and metering, beside bare Koa and Fastify with a rate limit',
  options: [
    '--seconds N         of one run (5)',
    '--runs N            runs of each, interleaved (5)',
    '--connections N     at once (100)',
    '--jobs N            different jobs that are asked for in turn (1)',
    '--only a,c          a Koa, b Fastify, c Millrace',
    '--memory            Millrace alone: its memory over many requests, half of them with unknown keys',
    '--requests N        of it (2000000)',
    '--keys N            different unknown keys of it (100000)',
  ],
  plan(args) {
    const values = readOptions(args, optionsConfig);
    const connections = wholeNumber('connections', values.connections, 100);
    if (values.memory) {
      const requestCount = wholeNumber('requests', values.requests, 2_000_000);
      const keyCount = wholeNumber('keys', values.keys, 100_000);
      return {
        run: (context) => watchMemory(context, { connections, requestCount, keyCount }),
        // Past the limit unknown keys are not looked up any more, and looking up and remembering them is what takes memory.
        variables: { MILLRACE_AUTH_FAILURES_PER_MINUTE: '0' },
      };
    }
    const plan = {
      connections,
      seconds: wholeNumber('seconds', values.seconds, 5),
      runCount: wholeNumber('runs', values.runs, 5),
      jobCount: wholeNumber('jobs', values.jobs, 1),
      letters: readLetters(values.only),
    };
    return { run: (context) => compareApis(context, plan) };
  },
};

function readLetters(only: string | undefined): EntrantLetter[] {
  const all = Object.keys(entrants) as EntrantLetter[];
  if (only === undefined) return all;
  const wished = only.split(',');
  const unknown = wished.filter((letter) => !Object.hasOwn(entrants, letter));
  if (unknown.length > 0) {
    const known = all.map((letter) => `${letter} (${entrants[letter].title})`).join(', ');
    throw new StartFailure(`--only knows ${known}, not "${unknown.join(',')}"`);
  }
  return all.filter((letter) => wished.includes(letter));
}
