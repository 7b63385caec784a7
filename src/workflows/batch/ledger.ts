/** Which chunks are done, in flight or still to be handed out, and what the done ones came to. */
import type { Counts } from '../../domain/batch/job';
import { decodeDone } from '../../domain/batch/done-map';
import { chunkCount } from '../../domain/batch/partition';
import { toCounts } from '../../domain/batch/progress';
import type { BatchPlan, ChunkReturn } from './ports';

export interface Turn {
  no: number;
  lane: number;
}

export class ChunkLedger {
  readonly chunks: number;
  /** Grows whenever a chunk comes back, in whatever way. */
  settled = 0;
  /** chunks that may be in flight at once */
  lanes: number;
  readonly #plan: BatchPlan;
  #nextFresh: number;
  /** done by an earlier run, beyond the first that was open */
  readonly #doneAhead: ReadonlySet<number>;
  #succeeded: number;
  #failed: number;
  /** chunk by lane */
  readonly #inFlight = new Map<number, number>();
  /** what is left of them waits for another attempt of its items */
  readonly #deferred = new Set<number>();
  /** handed back before they were done; they go first */
  readonly #returned: number[] = [];

  constructor(plan: BatchPlan) {
    this.#plan = plan;
    this.chunks = chunkCount(plan.total, plan.chunkItems);
    this.lanes = plan.wanted.lanes;
    this.#nextFresh = plan.firstOpenChunk;
    this.#doneAhead = new Set(decodeDone(plan.doneAfter).map((n) => plan.firstOpenChunk + 1 + n));
    this.#succeeded = plan.succeeded;
    this.#failed = plan.failed;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** the lanes there are, and those in which a chunk still is */
  get lanesHeld(): number {
    return Math.max(this.lanes, ...[...this.#inFlight.keys()].map((lane) => lane + 1));
  }

  get isDrained(): boolean {
    const open = this.#inFlight.size + this.#returned.length + this.#deferred.size;
    return open === 0 && this.#nextFresh >= this.chunks;
  }

  get done(): number {
    return this.#nextFresh - this.#inFlight.size - this.#returned.length - this.#deferred.size;
  }

  /** The next chunk to hand out and its lane, or undefined: no lane is free or nothing is left. */
  next(): Turn | undefined {
    const no = this.#returned[0] ?? (this.#nextFresh < this.chunks ? this.#nextFresh : undefined);
    if (no === undefined) return undefined;
    for (let lane = 0; lane < this.lanes; lane++) if (!this.#inFlight.has(lane)) return { no, lane };
    return undefined;
  }

  begin({ no, lane }: Turn): void {
    if (this.#returned[0] === no) this.#returned.shift();
    else {
      this.#nextFresh = no + 1;
      while (this.#doneAhead.has(this.#nextFresh)) this.#nextFresh++;
    }
    this.#inFlight.set(lane, no);
  }

  settle(turn: Turn, back: ChunkReturn): void {
    if (back.reason !== 'done' && back.reason !== 'deferred') return this.giveBack(turn);
    this.#leave(turn);
    if (back.reason === 'deferred') {
      this.#deferred.add(turn.no);
      return;
    }
    this.#succeeded += back.succeeded;
    this.#failed += back.failed;
  }

  /** To be handed out again: it came back early, or what it waited for is due. */
  giveBack(turn: Turn): void {
    this.#leave(turn);
    this.#deferred.delete(turn.no);
    this.#returned.push(turn.no);
  }

  #leave({ no, lane }: Turn): void {
    // A chunk that waited has given its lane to another one.
    if (this.#inFlight.get(lane) === no) this.#inFlight.delete(lane);
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
