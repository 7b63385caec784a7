import { readFileSync } from 'node:fs';
import path from 'node:path';
import { StartFailure } from '../../tools/process/failure';
import type { BenchContext } from '../frame/bench';
import { openRemote } from '../frame/remote';
import { type ServerProcess, startApiProcess } from './api-process';
import type { PublisherKind } from './publishers/serve';
import type { Protocol, ServerAnswer, ServerRequest } from './target';

export interface Entrant {
  readonly title: string;
  readonly publisher: PublisherKind;
  /** Its connections are split evenly among these. */
  readonly protocols: readonly Protocol[];
  /** A package, whose name is also that of its file in servers/; null: ours. */
  readonly peer: 'better-sse' | 'socket.io' | null;
}

export const entrants = {
  a: { title: 'better-sse', publisher: 'better-sse', protocols: ['sse'], peer: 'better-sse' },
  b: { title: 'Socket.IO', publisher: 'socket-io', protocols: ['socket-io'], peer: 'socket.io' },
  c: { title: 'Millrace, SSE', publisher: 'millrace', protocols: ['sse'], peer: null },
  d: { title: 'Millrace, WebSocket', publisher: 'millrace', protocols: ['websocket'], peer: null },
  e: { title: 'Millrace, half and half', publisher: 'millrace', protocols: ['sse', 'websocket'], peer: null },
} as const satisfies Record<string, Entrant>;

export type Letter = keyof typeof entrants;

export function readLetters(only: string | undefined): Letter[] {
  const all = Object.keys(entrants) as Letter[];
  if (only === undefined) return all;
  const wished = only.split(',');
  const unknown = wished.filter((letter) => !Object.hasOwn(entrants, letter));
  if (unknown.length > 0) {
    const known = all.map((letter) => `${letter} (${entrants[letter].title})`).join(', ');
    throw new StartFailure(`--only knows ${known}, not "${unknown.join(',')}"`);
  }
  return all.filter((letter) => wished.includes(letter));
}

export function titleOf(letter: Letter): string {
  const { title, peer } = entrants[letter];
  return peer === null ? title : `${title} ${versionOf(peer)}`;
}

export interface ServerWish {
  readonly letter: Letter;
  /** Names its log. */
  readonly run: string;
  readonly topics: readonly string[];
  /** For Node, where it is ours. */
  readonly nodeExtra: readonly string[];
}

/** A fresh process. */
export async function startServer(context: BenchContext, wish: ServerWish): Promise<ServerProcess> {
  const { peer } = entrants[wish.letter];
  if (peer === null) return startApiProcess(context, wish.run, wish.nodeExtra);
  const file = path.join(__dirname, `servers/${peer === 'socket.io' ? 'socket-io' : peer}.js`);
  const remote = openRemote<ServerRequest, ServerAnswer>(file, context.signal);
  const close = async (): Promise<void> => remote.close();
  try {
    const { port } = await remote.ask({ redisUrl: context.facts.redis_url, topics: wish.topics });
    return { pid: remote.pid, port, close };
  } catch (error) {
    remote.close();
    throw error;
  }
}

function versionOf(peer: string): string {
  const file = path.join(path.dirname(require.resolve(peer)), '../package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
