/** Gathers outcomes and writes them in sub-batches of bounded size, one write at a time. */
import { writeHalving } from '../../domain/batch/write-halving';
import type { ItemOutcome } from '../../domain/handler/contract';

export const SUB_BATCH_ITEMS = 2_000;
/** of outputs; a single one may be longer */
export const SUB_BATCH_CHARS = 4 * 1_048_576;

export interface ResultWriterOptions {
  write(outcomes: readonly ItemOutcome[], running: number): Promise<void>;
  /** items in flight right now */
  running(): number;
  onWritten(): void;
  /** a write failed for good: superseded, or the database is away */
  onError(error: unknown): void;
  /** longest that an outcome waits to be written */
  intervalMs: number;
}

export class ResultWriter {
  readonly #options: ResultWriterOptions;
  readonly #timer: NodeJS.Timeout;
  #waiting: ItemOutcome[] = [];
  #chars = 0;
  #writing: Promise<void> | undefined;
  #runningReported = 0;
  #failed = false;

  constructor(options: ResultWriterOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#kick(true), options.intervalMs);
  }

  add(outcome: ItemOutcome): void {
    this.#waiting.push(outcome);
    this.#chars += charsOf(outcome);
    this.#kick(false);
  }

  /** Whoever feeds items looks here before each, so that memory is bounded: by two sub-batches and what is in flight. */
  get isFull(): boolean {
    return this.#waiting.length >= 2 * SUB_BATCH_ITEMS || this.#chars >= 2 * SUB_BATCH_CHARS;
  }

  /** Resolves when there is room, or when there never will be. */
  async room(): Promise<void> {
    while (this.isFull && this.#writing !== undefined) await this.#writing;
  }

  /** Writes what waits. Failures have been told to `onError`. */
  async flush(): Promise<void> {
    while (!this.#failed && (this.#waiting.length > 0 || this.#writing !== undefined)) {
      this.#kick(true);
      await this.#writing;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #kick(now: boolean): void {
    if (this.#writing !== undefined || this.#failed) return;
    const enough = this.#waiting.length >= SUB_BATCH_ITEMS || this.#chars >= SUB_BATCH_CHARS;
    const due = now && (this.#waiting.length > 0 || this.#options.running() !== this.#runningReported);
    if (!enough && !due) return;
    this.#writing = this.#writeNext().finally(() => {
      this.#writing = undefined;
      this.#kick(false);
    });
  }

  async #writeNext(): Promise<void> {
    const batch = this.#next();
    try {
      await writeHalving(batch, (some) => this.#write(some));
      this.#options.onWritten();
    } catch (error) {
      this.#failed = true;
      this.#options.onError(error);
    }
  }

  /** The oldest that waits, up to a sub-batch. */
  #next(): ItemOutcome[] {
    let [count, chars] = [0, 0];
    for (const outcome of this.#waiting) {
      const more = charsOf(outcome);
      if (count > 0 && (count === SUB_BATCH_ITEMS || chars + more > SUB_BATCH_CHARS)) break;
      count++;
      chars += more;
    }
    this.#chars -= chars;
    return this.#waiting.splice(0, count);
  }

  async #write(some: readonly ItemOutcome[]): Promise<void> {
    const running = this.#options.running();
    await this.#options.write(some, running);
    this.#runningReported = running;
  }
}

function charsOf({ output }: ItemOutcome): number {
  return output?.length ?? 0;
}
