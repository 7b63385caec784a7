/** How a job is cut into chunks, and how many of them run at once. */
export const CHUNK_ITEMS_MAX = 2_000;
export const CHUNK_ITEMS_MIN = 50;
/** A job is spread over at least this many chunks where it has the items, so that several workers share it. */
const CHUNKS_WANTED = 16;
/** Chunk activities of one job in flight at once. */
export const WINDOW_MAX = 4;
/** Items in flight of a job that names no `max_concurrency`. */
export const DEFAULT_CONCURRENCY = 100;

/** Items per chunk. Large chunks keep Temporal's history short: 2,000 a chunk is 6 events per 2,000 items. */
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

/** How many chunks may run at once, so that `window x share <= max_concurrency`. */
export function windowSize(maxConcurrency: number | null, chunks: number): number {
  return Math.max(1, Math.min(WINDOW_MAX, chunks, maxConcurrency ?? DEFAULT_CONCURRENCY));
}

/** Items one chunk may have in flight: an equal share of the job's `max_concurrency`. */
export function concurrencyShare(maxConcurrency: number | null, window: number): number {
  return Math.max(1, Math.floor((maxConcurrency ?? DEFAULT_CONCURRENCY) / window));
}
