/**
 * The workflow's clock inside an activity: the time that was handed over, plus what passed since by the server's stamps and
 * then by a clock that only grows. Due times are measured by it, so they follow Temporal's time, not this machine's.
 */
export interface ChunkClock {
  nowMs(): number;
}

export interface ChunkClockStart {
  /** the workflow's clock when it scheduled the activity */
  handedOverMs: number;
  /** the server's stamps of the activity's first and of this attempt */
  scheduledMs: number;
  attemptScheduledMs: number;
}

export function createChunkClock(start: ChunkClockStart): ChunkClock {
  const base = start.handedOverMs + Math.max(0, start.attemptScheduledMs - start.scheduledMs);
  const startedAt = performance.now();
  return { nowMs: () => base + (performance.now() - startedAt) };
}
