import type { DevFacts } from '../../tools/start/dev-json';
import type { Usage } from '../measure/usage';

/** Where a contender finds its servers, and a folder for its files. */
export interface Place {
  readonly facts: DevFacts;
  readonly folder: string;
}

/** One way to get a number of items worked through. It lives in one process, from the warm-up to its last run. */
export interface Contender {
  /** All that comes before the clock: items at hand, connections open, workers waiting. */
  prepare(itemCount: number): Promise<Preparation>;
}

export interface Preparation {
  /** From the first item handed over to the last result; answers where the time went, in milliseconds. */
  work(): Promise<Readonly<Record<string, number>>>;
  /** After the clock: rejects unless each item was worked on once; answers how many results were seen. */
  check(): Promise<number>;
  /** Removes what would be in the way of the next run. */
  clear(): Promise<void>;
}

export type OpenContender = (place: Place) => Promise<Contender>;

/** One run, measured. */
export interface Measured extends Usage {
  readonly itemCount: number;
  readonly elapsedMs: number;
  readonly itemsPerSecond: number;
  readonly phasesMs: Readonly<Record<string, number>>;
  /** Results that were read and found right. */
  readonly resultsChecked: number;
}

export type ContenderRequest =
  | { readonly type: 'open'; readonly place: Place }
  | { readonly type: 'run'; readonly itemCount: number };
