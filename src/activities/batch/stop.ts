/** Why an attempt at a chunk ends before its last item. The first reason stands, but a hard stop may follow a soft one. */
import { setMaxListeners } from 'node:events';
import type { ChunkReason } from '../../workflows/batch/ports';

export type StopReason = Exclude<ChunkReason, 'done'> | 'superseded';

export class Stop {
  readonly #abort = new AbortController();
  readonly #listeners = new Set<() => void>();
  #reason: StopReason | undefined;

  constructor() {
    // Each item in flight listens; that many are no leak.
    setMaxListeners(0, this.#abort.signal);
  }

  get reason(): StopReason | undefined {
    return this.#reason;
  }

  /** Aborts at a hard stop: running items end without an outcome. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Begin nothing new; what runs ends in peace. */
  soft(reason: StopReason): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#tell();
  }

  /** End now. */
  hard(reason: StopReason): void {
    if (this.#abort.signal.aborted) return;
    this.#reason = reason;
    this.#abort.abort(new Error(reason));
    this.#tell();
  }

  /** @returns the end of it */
  onStop(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
