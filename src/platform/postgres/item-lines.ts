/**
 * From an item's index back to its line in the upload. PostgreSQL tells a bad row's number only; blank lines, and items over
 * several lines, set rows and lines apart. Kept as runs of equal steps, the newest ones: flat memory whatever the upload.
 */
const RUNS_MAX = 200_000;

interface Run {
  index: number;
  line: number;
  /** lines per item; 0 until the run has two items */
  step: number;
}

export class ItemLines {
  readonly #runs: Run[] = [];
  #lastIndex = -1;
  #lastLine = 0;

  /** Items come in the order of their index, without a gap. */
  add(line: number): void {
    const index = this.#lastIndex + 1;
    const run = this.#runs.at(-1);
    const step = line - this.#lastLine;
    this.#lastIndex = index;
    this.#lastLine = line;
    if (run !== undefined && run.step === 0) run.step = step;
    else if (run === undefined || run.step !== step) this.#begin({ index, line, step: 0 });
  }

  /** Undefined where it is too long ago, or there is no such item. */
  lineOf(index: number): number | undefined {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#runs[middle] as Run).index <= index) low = middle + 1;
      else high = middle;
    }
    const run = this.#runs[low - 1];
    if (run === undefined || index > this.#lastIndex) return undefined;
    return run.line + (index - run.index) * run.step;
  }

  #begin(run: Run): void {
    if (this.#runs.length >= RUNS_MAX) this.#runs.splice(0, RUNS_MAX / 2);
    this.#runs.push(run);
  }
}
