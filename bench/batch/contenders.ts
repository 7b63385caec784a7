import { readFileSync } from 'node:fs';
import { StartFailure } from '../../tools/process/failure';

export interface Entrant {
  readonly letter: string;
  /** File of bench/contenders. */
  readonly entry: string;
  readonly title: string;
}

const known = [
  { letter: 'a', entry: 'bullmq', title: 'BullMQ' },
  { letter: 'b', entry: 'graphile-worker', title: 'Graphile Worker' },
  { letter: 'c', entry: 'millrace', title: 'Millrace' },
] as const satisfies readonly Entrant[];

export const ours = 'c';

/** The entrants that `only` names, such as `a,c`, peers with their versions; all where it is not given. */
export function chooseEntrants(only: string | undefined): Entrant[] {
  const letters = only === undefined ? known.map(({ letter }) => letter) : only.split(',');
  const unknown = letters.filter((letter) => !known.some((entrant) => entrant.letter === letter));
  if (unknown.length > 0) {
    const all = known.map(({ letter, title }) => `${letter} (${title})`).join(', ');
    throw new StartFailure(`--only knows ${all}, not "${unknown.join(',')}"`);
  }
  return known
    .filter(({ letter }) => letters.includes(letter))
    .map((entrant) => (entrant.letter === ours ? entrant : withVersion(entrant)));
}

/** A peer's file in bench/contenders has the name of its package. */
function withVersion(peer: Entrant): Entrant {
  const file = require.resolve(`${peer.entry}/package.json`);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return { ...peer, title: `${peer.title} ${version}` };
}
