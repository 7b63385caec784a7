/**
 * Who says what to whom:
 *
 *   sandbox (worker or API process)  --Slice, Stop-->   host (child process)  --Slice-->  thread (evaluates)
 *                                    <--HostMessage--                         <--Outcomes, SliceEnd--
 *
 * The host keeps the clock: it ends a thread whose item is past its deadline and names that item. A thread that takes its
 * host down with it (V8 aborts the process when one allocation is far beyond the heap limit) takes nothing else down.
 */
import type { Evaluation, EvaluationFailure } from '../../domain/handler/expression';

/**
 * What a host is for: its own process and thread, so that neither has what only the other needs.
 * `expressions`: JSONata over values · `schemas`: JSON Schema, whose outcome is the list of faults of a value.
 */
export type Work = 'expressions' | 'schemas';

/** A piece of a call: some inputs of one expression, or schema. `mode` check: parse it, evaluate nothing. */
export interface Slice {
  kind: 'slice';
  id: number;
  mode: 'evaluate' | 'check';
  /** expressions of different owners share nothing */
  owner: string;
  expression: string;
  inputs: readonly string[];
  /** per input */
  timeoutMs: number;
  /** No input is begun after this long. */
  sliceMs: number;
}

/** Begin no further input of this slice. */
export interface Stop {
  kind: 'stop';
  id: number;
}

/** Outcomes of the inputs from `from` on, in order. */
export interface Outcomes {
  kind: 'outcomes';
  id: number;
  from: number;
  outcomes: Evaluation[];
}

/** The slice is over: at its end, at its time, or at the input that `culprit` names. */
export interface SliceEnd {
  kind: 'end';
  id: number;
  culprit?: Culprit | undefined;
  /** The host has grown beyond its limit and wants to be replaced. */
  spent?: boolean | undefined;
}

export interface Culprit {
  index: number;
  code: EvaluationFailure;
  message: string;
  durationMs: number;
}

export interface Ready {
  kind: 'ready';
}

export type ToHost = Slice | Stop;
export type FromThread = Ready | Outcomes | SliceEnd;
export type FromHost = Ready | Outcomes | SliceEnd;

export interface ThreadData {
  work: Work;
  marks: SharedArrayBuffer;
}

/** Limits of a host, given as its one argument in JSON. */
export interface HostLimits {
  /** heap of the thread */
  memoryMb: number;
  work: Work;
}

/** Int32 fields of `ThreadData.marks`. */
export const MARK = {
  /** input being evaluated, -1 between slices */
  index: 0,
  /** grows with each input, so that "still the same one" can be told */
  counter: 1,
  /** id of the slice that is to stop */
  stop: 2,
} as const;
export const MARK_COUNT = 3;
