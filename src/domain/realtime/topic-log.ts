/** The realtime log, per topic: entries with ids that only grow, kept for replay. */

export interface LogEntry {
  /** microseconds of Redis' clock, or one more than the last; below 2^53. `FLEETING`: told live only, it is in no log */
  id: number;
  /** e.g. `job.started` */
  type: string;
  /** JSON text: `{"id","type","timestamp","data"}`; what is realtime only has no id */
  payload: string;
}

export const FLEETING = 0;

/** What came after a cursor. `lost`: the log can't tell, start anew. `ended`: nothing can come any more. */
export type Replay =
  | { state: 'entries'; entries: LogEntry[]; cursor: number; more: boolean }
  | { state: 'lost' }
  | { state: 'ended' };

/** A cursor as a client sends it: a whole number from 1; undefined for anything else. */
export function parseCursor(text: string): number | undefined {
  if (!/^[1-9]\d{0,15}$/.test(text)) return undefined;
  const cursor = Number(text);
  return Number.isSafeInteger(cursor) ? cursor : undefined;
}
