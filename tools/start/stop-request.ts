/** The wish to stop, from a signal or because our terminal is gone. */
export interface StopRequest {
  readonly requested: AbortSignal;
  /** Aborted by a second Ctrl-C. */
  readonly hurry: AbortSignal;
  readonly reason: string | null;
  request(reason: string): void;
}

/** npm passes a Ctrl-C on that the terminal has already sent to everybody, so one arrives twice at almost once. */
const sameKeyPressMs = 1_000;

/** Listens for SIGINT, SIGTERM and SIGHUP. */
export function onStopRequest(): StopRequest {
  const requested = new AbortController();
  const hurry = new AbortController();
  let reason: string | null = null;
  let firstAt = 0;
  const request = (why: string): void => {
    if (requested.signal.aborted) {
      if (performance.now() - firstAt > sameKeyPressMs) hurry.abort();
      return;
    }
    reason = why;
    firstAt = performance.now();
    requested.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      request(signal);
    });
  }
  return {
    requested: requested.signal,
    hurry: hurry.signal,
    get reason() {
      return reason;
    },
    request,
  };
}
