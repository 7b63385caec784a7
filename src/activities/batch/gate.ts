/**
 * What an item passes before it begins: closed while the job is paused, and paced where it has a `max_rps`.
 * A pause ends the attempt only once nothing is in flight any more: resumed before that, the chunk goes on where it is,
 * however long its items take.
 */
import { blockItems, paceInterval, type Reservation } from '../../domain/batch/pace';
import type { Limits } from '../../domain/batch/partition';
import type { Stop } from './stop';

export interface GateOptions {
  stop: Stop;
  limits(): Limits;
  /** items in flight of this attempt */
  inFlight(): number;
  reserve(items: number, intervalMs: number): Promise<Reservation>;
}

/** A slot is not kept for a next item that far off. */
const WAIT_INSIDE_MAX_MS = 3_000;
/** Waits are cut to it, so that new limits are seen in time. */
const NAP_MS = 1_000;
/** Beyond the time that a reservation covers. */
const STALE_MS = 250;
/** Timers are no finer. */
const TICK_MS = 2;

export class Gate {
  readonly #options: GateOptions;
  readonly #waiting = new Set<() => void>();
  #held = false;
  /** reserved and not used */
  #left = 0;
  /** when the next of them may begin, by `performance.now()` */
  #nextAt = 0;
  #intervalMs = 0;
  #reserving: Promise<number> | undefined;
  /** ms after which the next item may begin, where the attempt ended for it */
  throttledMs: number | undefined;

  constructor(options: GateOptions) {
    this.#options = options;
    options.stop.onStop(() => this.stir());
  }

  /** Nothing to wait for: spares a promise per item. */
  get isOpen(): boolean {
    return !this.#held && this.#options.limits().maxRps === null && this.#options.stop.reason === undefined;
  }

  /** An item that asks now does not wait. */
  get isReady(): boolean {
    return !this.#held && this.#left > 0 && this.#nextAt - performance.now() <= TICK_MS;
  }

  hold(): void {
    this.#held = true;
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.stir();
  }

  /** Something that is waited for may have come: an item ended, the limits changed. */
  stir(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves when an item may begin; false: none may any more. */
  async pass(): Promise<boolean> {
    const { stop, inFlight } = this.#options;
    while (stop.reason === undefined) {
      if (this.#held) {
        if (inFlight() === 0) stop.soft('paused');
        else await this.#nap();
        continue;
      }
      const waitMs = await this.#take();
      if (waitMs === 0) return true;
      if (waitMs > WAIT_INSIDE_MAX_MS && inFlight() === 0) {
        this.throttledMs = waitMs;
        stop.soft('throttled');
      } else await this.#nap(waitMs);
    }
    return false;
  }

  /** For another attempt of an item that has begun, which must not wait for a resume: its place may be needed. */
  async passAgain(): Promise<boolean> {
    for (let waitedMs = 0; this.#options.stop.reason === undefined && !this.#held; ) {
      const waitMs = await this.#take();
      if (waitMs === 0) return true;
      if (waitedMs > NAP_MS) return false;
      waitedMs += waitMs;
      await this.#nap(waitMs);
    }
    return false;
  }

  /** @returns 0: an item may begin; else the ms after which to ask again */
  async #take(): Promise<number> {
    const limits = this.#options.limits();
    const { maxRps } = limits;
    if (maxRps === null) return 0;
    // What was not used in its time is not made up for.
    if (performance.now() - this.#nextAt > STALE_MS) this.#left = 0;
    while (this.#left === 0) {
      // One reservation for all that ask at once; who comes too late for its items asks again.
      this.#reserving ??= this.#reserve({ ...limits, maxRps }).finally(() => {
        this.#reserving = undefined;
      });
      const laterMs = await this.#reserving;
      if (laterMs > 0) return laterMs;
    }
    const waitMs = this.#nextAt - performance.now();
    if (waitMs > TICK_MS) return waitMs;
    this.#left--;
    this.#nextAt += this.#intervalMs;
    return 0;
  }

  /** @returns 0: reserved; else the ms after which to ask again */
  async #reserve(limits: Limits & { maxRps: number }): Promise<number> {
    const intervalMs = paceInterval(limits.maxRps);
    const { items, waitMs } = await this.#options.reserve(blockItems(limits), intervalMs);
    if (items === 0) return Math.max(TICK_MS, waitMs);
    this.#left = items;
    this.#intervalMs = intervalMs;
    this.#nextAt = performance.now() + waitMs;
    return 0;
  }

  #nap(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(wake, Math.min(ms, NAP_MS));
      this.#waiting.add(wake);
    });
  }
}
