/** The words of a chunk that is lent to another process. */
import { laneShare } from './partition';
import { CLEAN_ITEMS_MIN, type Control, LOST_ATTEMPTS_MAX } from './run';
import { wantedState } from './wanted';

/** The row of a chunk that somebody took. */
export interface LoanedChunk {
  epoch: number;
  running: number;
  lost_attempts: number;
  clean_items: number;
}

/** An item that was attempted in earlier turns. */
export interface AttemptsMade {
  index: number;
  attempts: number;
  /** it has its result */
  ended: boolean;
}

/** What is left of a chunk. */
export interface ChunkRest {
  /** an item could be attempted now */
  open: boolean;
  /** when the first of those that wait for another attempt is due; null: none waits */
  due_at: Date | null;
}

/**
 * Why a worker is to begin no more items of a chunk:
 * paused: for now; whoever has items in flight may go on after a resume · cancelled: and end those in flight, at once ·
 * exceeded, ended: the job comes to its end · narrowed: its share of the limits is gone · time_box: others' turn ·
 * done: nothing is left
 */
export const LOAN_STOPS = [
  'paused',
  'cancelled',
  'exceeded',
  'ended',
  'narrowed',
  'time_box',
  'done',
] as const;
export type LoanStop = (typeof LOAN_STOPS)[number];

/** What the job's row has against another item; null: nothing. */
export function loanStop(control: Control | undefined, lane: number): LoanStop | null {
  if (control === undefined) return 'ended';
  const state = wantedState(control);
  if (state !== 'running') return state === 'waiting' ? 'paused' : state;
  return laneShare(control.limits, lane) === 0 ? 'narrowed' : null;
}

/** Whether items go out one by one, since the process that runs one of them may end. */
export function isIsolated({ lost_attempts }: Pick<LoanedChunk, 'lost_attempts'>): boolean {
  return lost_attempts >= LOST_ATTEMPTS_MAX;
}

/** One by one long enough: the next turn is an ordinary one. */
export function isCleared(chunk: LoanedChunk): boolean {
  return isIsolated(chunk) && chunk.clean_items >= CLEAN_ITEMS_MIN;
}
