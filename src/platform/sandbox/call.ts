/**
 * One call of `evaluateMany`: which inputs are open, which are out with a host, what came of the others. No I/O.
 *
 * An input that takes its host down with it cannot be named by that host. So what was open of that slice is done again one by
 * one ("alone"): the one that does it again is the one.
 */
import type { EvaluateMany, Evaluation, EvaluationFailure } from '../../domain/handler/expression';
import type { Culprit, Outcomes } from './protocol';

/** An input during which hosts died from outside so often fails; a host may also die by chance. */
const LOST_ALONE_MAX = 3;

/** Inputs that are out with a host. `indices[i]` is the call's index of the slice's input i. */
export interface Portion {
  indices: number[];
  alone: boolean;
}

export interface PortionLimits {
  inputs: number;
  characters: number;
}

export class Call {
  readonly request: EvaluateMany;
  readonly mode: 'evaluate' | 'check';
  readonly #outcomes: (Evaluation | null)[];
  /** Indices in falling order, so that the next one is the last. */
  #open: number[];
  /** Open inputs at which a host may have died, and how often one did while they were alone. */
  readonly #suspects = new Map<number, number>();
  #out = 0;
  #abandoned = false;

  constructor(request: EvaluateMany, mode: 'evaluate' | 'check') {
    this.request = request;
    this.mode = mode;
    this.#outcomes = request.inputs.map(() => null);
    this.#open = request.inputs.map((_, i) => request.inputs.length - 1 - i);
  }

  hasOpen(): boolean {
    return this.#open.length > 0;
  }

  /** No input is open or out. */
  isOver(): boolean {
    return this.#open.length === 0 && this.#out === 0;
  }

  result(): (Evaluation | null)[] {
    return this.#outcomes;
  }

  /** Takes open inputs, at least one, at most what the limits allow. */
  take(limits: PortionLimits): Portion {
    const alone = this.#suspects.has(this.#open.at(-1) as number);
    const inputsMax = alone ? 1 : limits.inputs;
    const indices: number[] = [];
    let characters = 0;
    while (this.#open.length > 0) {
      const next = this.#open.at(-1) as number;
      characters += (this.request.inputs[next] as string).length;
      const isFull =
        indices.length >= inputsMax || characters > limits.characters || this.#suspects.has(next);
      if (indices.length > 0 && isFull) break;
      indices.push(next);
      this.#open.pop();
    }
    this.#out += indices.length;
    return { indices, alone };
  }

  record(portion: Portion, { from, outcomes }: Outcomes): void {
    for (const [i, outcome] of outcomes.entries()) {
      const index = portion.indices[from + i];
      if (index !== undefined) this.#settle(index, outcome);
    }
  }

  /** The slice is over: what has no outcome is open again. */
  giveBack(portion: Portion, culprit: Culprit | undefined): void {
    const index = culprit && portion.indices[culprit.index];
    if (culprit && index !== undefined) {
      const { code, message, durationMs } = culprit;
      this.#settle(index, { ok: false, code, message, durationMs });
    }
    // A thread that ends before it has begun an input would end so for ever.
    if (portion.indices.every((i) => this.#outcomes[i] === null)) this.#suspect(portion, 'killed');
    this.#reopen(portion);
  }

  /** The host died over it. */
  lost(portion: Portion, cause: 'aborted' | 'killed'): void {
    this.#suspect(portion, cause);
    this.#reopen(portion);
  }

  /** Nothing more is begun; what is out may still come in. */
  abandon(): void {
    this.#abandoned = true;
    this.#open = [];
  }

  #settle(index: number, outcome: Evaluation): void {
    this.#outcomes[index] = outcome;
    this.#suspects.delete(index);
    if (!this.request.signal.aborted) this.request.onEvaluation?.(index, outcome);
  }

  #suspect(portion: Portion, cause: 'aborted' | 'killed'): void {
    for (const index of portion.indices) {
      if (this.#outcomes[index] !== null) continue;
      const times = (this.#suspects.get(index) ?? 0) + (portion.alone ? 1 : 0);
      this.#suspects.set(index, times);
      if (times > 0 && cause === 'aborted') this.#fail(index, 'handler_out_of_memory', OUT_OF_MEMORY);
      else if (times >= LOST_ALONE_MAX) this.#fail(index, 'handler_crashed', CRASHED);
    }
  }

  #fail(index: number, code: EvaluationFailure, message: string): void {
    this.#settle(index, { ok: false, code, message, durationMs: 0 });
  }

  #reopen(portion: Portion): void {
    this.#out -= portion.indices.length;
    if (this.#abandoned) return;
    for (const index of portion.indices.toReversed())
      if (this.#outcomes[index] === null) this.#open.push(index);
  }
}

const OUT_OF_MEMORY = 'The expression used more memory than allowed.';
const CRASHED = 'The sandbox ended each time it was at this item.';
