import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Remote, openRemote } from '../frame/remote';
import type { BenchContext } from '../frame/bench';
import type { ServerAnswer, ServerRequest, Target } from './target';

/** Peers are named by their packages, which are also the names of their files in servers/. */
export const entrants = {
  a: { title: 'Koa', peer: 'koa' },
  b: { title: 'Fastify', peer: 'fastify' },
  c: { title: 'Millrace', peer: null },
} as const;

export type EntrantLetter = keyof typeof entrants;
export const ours: EntrantLetter = 'c';

/** Someone who answers the questions. */
export interface Entrant {
  readonly letter: EntrantLetter;
  readonly title: string;
  readonly target: Target;
  /** Of the process that answers. */
  readonly pid: number;
  close(): void;
}

/** Peers answer the same as ours does, each in a process of its own. */
export async function openEntrant(
  { facts, signal }: BenchContext,
  letter: EntrantLetter,
  guarded: Target,
): Promise<Entrant> {
  const { title, peer } = entrants[letter];
  if (peer === null) {
    return { letter, title, target: guarded, pid: facts.pids.api ?? -1, close: () => undefined };
  }
  const file = path.join(__dirname, `servers/${peer}.js`);
  const remote: Remote<ServerRequest, ServerAnswer> = openRemote(file, signal);
  const { questions, key } = guarded;
  const request = { questions, key, databaseUrl: facts.database_url, redisUrl: facts.redis_url };
  try {
    const { url } = await remote.ask(request);
    const target = { ...guarded, url };
    return { letter, title: `${title} ${versionOf(peer)}`, target, pid: remote.pid, close: remote.close };
  } catch (error) {
    remote.close();
    throw error;
  }
}

function versionOf(peer: string): string {
  const { version } = JSON.parse(readFileSync(require.resolve(`${peer}/package.json`), 'utf8')) as {
    version: string;
  };
  return version;
}
