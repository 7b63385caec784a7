/** When items began and ended, as the handler `clocked` wrote it down; in the order in which it did. */
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface Step {
  what: 'begin' | 'end';
  n: number;
  /** ms since 1970, of the one clock that all workers of a test share */
  at: number;
  /** items in flight after it, over all workers */
  inFlight: number;
}

export interface ExecutionLog {
  /** for the items */
  readonly file: string;
  steps(): Step[];
  begins(): Step[];
  inFlight(): number;
}

export function createExecutionLog(): ExecutionLog {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'millrace-log-')), 'steps');
  const steps = (): Step[] => {
    if (!existsSync(file)) return [];
    let inFlight = 0;
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return lines.map((line) => {
      const [what = '', n, at] = line.split(' ');
      inFlight += what === 'begin' ? 1 : -1;
      return { what: what as Step['what'], n: Number(n), at: Number(at), inFlight };
    });
  };
  return {
    file,
    steps,
    begins: () => steps().filter(({ what }) => what === 'begin'),
    inFlight: () => steps().at(-1)?.inFlight ?? 0,
  };
}
