/**
 * Gathers outcomes and writes them in sub-batches, one write at a time. A sub-batch that the database refuses for its data
 * is halved until the bad row is found; that item fails as `output_not_storable`, all others are kept.
 */
import { isAppError } from '../../domain/errors';
import type { ItemOutcome } from '../../domain/handler/contract';

const SUB_BATCH_ITEMS = 1_000;
const SUB_BATCH_CHARS = 4 * 1_048_576;

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
    this.#chars += outcome.output?.length ?? 0;
    this.#kick(false);
  }

  /** Resolves when there is room: whoever feeds items waits here, so that memory is bounded. */
  async room(): Promise<void> {
    while (this.#isFull() && this.#writing !== undefined) await this.#writing;
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

  #isFull(): boolean {
    return this.#waiting.length >= 2 * SUB_BATCH_ITEMS || this.#chars >= 2 * SUB_BATCH_CHARS;
  }

  #kick(now: boolean): void {
    if (this.#writing !== undefined || this.#failed) return;
    const enough = this.#waiting.length >= SUB_BATCH_ITEMS || this.#chars >= SUB_BATCH_CHARS;
    const due = now && (this.#waiting.length > 0 || this.#options.running() !== this.#runningReported);
    if (!enough && !due) return;
    this.#writing = this.#writeNext().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length >= SUB_BATCH_ITEMS) this.#kick(true);
    });
  }

  async #writeNext(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#chars = 0;
    try {
      await this.#writeHalving(batch);
      this.#options.onWritten();
    } catch (error) {
      this.#failed = true;
      this.#options.onError(error);
    }
  }

  async #writeHalving(batch: readonly ItemOutcome[]): Promise<void> {
    const running = this.#options.running();
    try {
      await this.#options.write(batch, running);
      this.#runningReported = running;
    } catch (error) {
      const [first] = batch;
      if (!isAppError(error) || error.code !== 'output_not_storable' || first === undefined) throw error;
      if (batch.length === 1) return this.#options.write([unstorable(first, error.detail)], running);
      const middle = batch.length >> 1;
      await this.#writeHalving(batch.slice(0, middle));
      await this.#writeHalving(batch.slice(middle));
    }
  }
}

function unstorable(outcome: ItemOutcome, message: string): ItemOutcome {
  return { ...outcome, status: 'failed', output: null, error: { code: 'output_not_storable', message } };
}
