import type { DevFacts } from '../../tools/start/dev-json';

/** What a bench works with: a copy of Millrace that is up, with servers that nobody else uses. */
export interface BenchContext {
  readonly facts: DevFacts;
  /** On the same disk as the servers' data; goes with it. */
  readonly folder: string;
  /** Aborted when somebody wants it to stop; processes that a bench started must end then. */
  readonly signal: AbortSignal;
  say(line: string): void;
}

export interface BenchOutcome {
  /** What a person reads. */
  readonly lines: readonly string[];
  /** What goes to the JSON file, beside machine and servers. */
  readonly data: Readonly<Record<string, unknown>>;
}

export type BenchRun = (context: BenchContext) => Promise<BenchOutcome>;

export interface BenchPlan {
  readonly run: BenchRun;
  /** For API and worker, where the defaults would be in the way; `--set` has the last word. */
  readonly variables?: Readonly<Record<string, string>>;
}

export interface Bench {
  readonly about: string;
  /** One line each, for those who ask. */
  readonly options: readonly string[];
  /** Reads the options before anything is started; throws a StartFailure that says what is wrong with them. */
  plan(args: readonly string[]): BenchPlan;
}
