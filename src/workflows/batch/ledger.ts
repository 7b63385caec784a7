/** Which chunks are done, in flight or still to be handed out, and what the done ones came to. */
import type { Counts } from '../../domain/batch/job';
import { chunkCount } from '../../domain/batch/partition';
import { toCounts } from '../../domain/batch/progress';
import type { BatchPlan, ChunkReturn } from './ports';

export class ChunkLedger {
  readonly chunks: number;
  /** Grows whenever a chunk comes back, in whatever way. */
  settled = 0;
  readonly #plan: BatchPlan;
  #nextFresh: number;
  #succeeded: number;
  #failed: number;
  readonly #inFlight = new Set<number>();
  /** what is left of them waits for another attempt of its items */
  readonly #deferred = new Set<number>();
  /** handed back before they were done; they go first */
  readonly #returned: number[] = [];

  constructor(plan: BatchPlan) {
    this.#plan = plan;
    this.chunks = chunkCount(plan.total, plan.chunkItems);
    this.#nextFresh = plan.firstOpenChunk;
    this.#succeeded = plan.succeeded;
    this.#failed = plan.failed;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get isDrained(): boolean {
    const open = this.#inFlight.size + this.#returned.length + this.#deferred.size;
    return open === 0 && this.#nextFresh >= this.chunks;
  }

  get done(): number {
    return this.#nextFresh - this.#inFlight.size - this.#returned.length - this.#deferred.size;
  }

  /** The next chunk to hand out, or undefined: the window is full or nothing is left. */
  next(): number | undefined {
    if (this.#inFlight.size >= this.#plan.windowChunks) return undefined;
    return this.#returned[0] ?? (this.#nextFresh < this.chunks ? this.#nextFresh : undefined);
  }

  begin(no: number): void {
    if (this.#returned[0] === no) this.#returned.shift();
    else this.#nextFresh = no + 1;
    this.#inFlight.add(no);
  }

  settle(no: number, back: ChunkReturn): void {
    if (back.reason !== 'done' && back.reason !== 'deferred') return this.giveBack(no);
    this.#inFlight.delete(no);
    this.settled++;
    if (back.reason === 'deferred') {
      this.#deferred.add(no);
      return;
    }
    this.#succeeded += back.succeeded;
    this.#failed += back.failed;
  }

  /** To be handed out again: it came back early, or what it waited for is due. */
  giveBack(no: number): void {
    this.#inFlight.delete(no);
    this.#deferred.delete(no);
    this.#returned.push(no);
    this.settled++;
  }

  counts(): Counts {
    const { total, chunkItems } = this.#plan;
    const done = this.#succeeded + this.#failed;
    return toCounts({
      total,
      succeeded: this.#succeeded,
      failed: this.#failed,
      cancelled: 0,
      running: Math.min(total - done, this.#inFlight.size * chunkItems),
    });
  }
}
