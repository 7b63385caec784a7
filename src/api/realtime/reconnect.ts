/** When clients of a process that drains should come back: what the others are spared is all of them at once. */
const RECONNECTS_PER_SECOND = 500;
const RECONNECTS_WITHIN_MS = 30_000;

export interface ReconnectOptions {
  /** 0 to 1 */
  random(): number;
  /** of a client that comes back alone */
  retryMs: number;
}

/** @param clients that are sent away together */
export function reconnectInMs({ random, retryMs }: ReconnectOptions, clients: number): number {
  const spreadMs = Math.min((clients * 1_000) / RECONNECTS_PER_SECOND, RECONNECTS_WITHIN_MS);
  return Math.round(retryMs / 2 + random() * Math.max(2 * retryMs, spreadMs));
}
