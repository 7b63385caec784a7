/** How a job is cut into chunks, how many of them run at once, and what each of those may have in flight. */
import type { JobOptions } from './job';

export const CHUNK_ITEMS_MAX = 5_000;
export const CHUNK_ITEMS_MIN = 50;
/** A job is spread over at least this many chunks where it has the items, so that several workers share it. */
const CHUNKS_WANTED = 16;
/** Chunk activities of one job in flight at once. */
export const LANES_MAX = 64;
/** Items in flight that make another chunk beside the others worth its while. */
const ITEMS_PER_LANE = 25;
/** Items per second, likewise. */
const RATE_PER_LANE = 50;
/** Items in flight of a job that names no `max_concurrency`. */
export const DEFAULT_CONCURRENCY = 100;

/** Items per chunk. Large chunks keep Temporal's history short, and its server idle: 6 events per 5,000 items. */
export function chunkItems(total: number): number {
  return Math.min(CHUNK_ITEMS_MAX, Math.max(CHUNK_ITEMS_MIN, Math.ceil(total / CHUNKS_WANTED)));
}

export function chunkCount(total: number, size: number): number {
  return Math.ceil(total / size);
}

/** The half-open range [start, end) of chunk `no`. */
export function chunkRange(no: number, size: number, total: number): { start: number; end: number } {
  return { start: no * size, end: Math.min(total, (no + 1) * size) };
}

/** What a job may take at once, over all workers; it may change while the job runs. */
export interface Limits {
  /** items in flight, at least 1 */
  concurrency: number;
  /** items begun per second; null: no limit */
  maxRps: number | null;
}

/** @param planMax items in flight that the tenant's plan allows one job; null: no limit */
export function limitsOf(
  { max_concurrency, max_rps }: Pick<JobOptions, 'max_concurrency' | 'max_rps'>,
  planMax: number | null,
): Limits {
  const concurrency = Math.min(max_concurrency ?? DEFAULT_CONCURRENCY, planMax ?? Number.POSITIVE_INFINITY);
  return { concurrency, maxRps: max_rps };
}

/**
 * Lanes are the places for chunks that run at once; each running chunk has one to itself, so a limit that is split over
 * the lanes holds over all workers with nobody to ask.
 */
export function laneCount({ concurrency, maxRps }: Limits): number {
  const wanted = Math.ceil(concurrency / ITEMS_PER_LANE);
  const fed = maxRps === null ? LANES_MAX : Math.max(1, Math.ceil(maxRps / RATE_PER_LANE));
  return Math.min(LANES_MAX, wanted, fed);
}

/**
 * Items that the chunk in `lane` (from 0) may have in flight. The shares of all lanes add up to the concurrency; 0: no such lane.
 * @param held lanes that chunks were in at the hand-out: where there are fewer now, the shares of those that are left grow
 *   only with the next hand-out, since what the others began may run for a while
 */
export function laneShare(limits: Limits, lane: number, held = 0): number {
  const now = laneCount(limits);
  if (lane >= now) return 0;
  const lanes = Math.max(now, held);
  return Math.floor(limits.concurrency / lanes) + (lane < limits.concurrency % lanes ? 1 : 0);
}
