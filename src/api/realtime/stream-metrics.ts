/** What streams tell of themselves, for /metrics. */
export type StreamKind = 'sse' | 'websocket';

export interface StreamMetrics {
  opened(kind: StreamKind): void;
  closed(kind: StreamKind): void;
  /** It read too slowly, and was cut off. */
  cutOff(kind: StreamKind): void;
  /** @param count messages, each to one subscriber */
  delivered(kind: StreamKind, count: number): void;
  /** `plan`: the tenant has as many open as its plan allows; `process`: this process takes no more */
  refused(why: 'plan' | 'process'): void;
  /** What it was let in by does not carry it any more. */
  ended(why: 'credential'): void;
}
