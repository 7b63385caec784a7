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
    return this.#inFlight.size === 0 && this.#returned.length === 0 && this.#nextFresh >= this.chunks;
  }

  get done(): number {
    return this.#nextFresh - this.#inFlight.size - this.#returned.length;
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
    if (back.reason !== 'done') return this.giveBack(no);
    this.#inFlight.delete(no);
    this.#succeeded += back.succeeded;
    this.#failed += back.failed;
    this.settled++;
  }

  giveBack(no: number): void {
    this.#inFlight.delete(no);
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
