/** Where log lines go: one after the other, those that may wait a moment together with the next ones. */

export interface LineSink {
  write(text: string): void;
}

export interface LogLines extends LineSink {
  /** Writes now, behind all that waits. */
  write(line: string): void;
  /** Writes within `delayMs`, or when something else is written. A process that is killed may lose it. */
  writeSoon(line: string): void;
  flush(): void;
}

/** A write for each line costs as much as the rest of a small request; one for many costs next to nothing. */
const HELD_CHARS_MAX = 64 * 1024;

/** @param delayMs 0: nothing waits */
export function createLogLines(sink: LineSink, delayMs: number): LogLines {
  let held = '';
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (held === '') return;
    const text = held;
    held = '';
    sink.write(text);
  };
  return {
    flush,
    write: (line) => {
      flush();
      sink.write(line);
    },
    writeSoon: (line) => {
      held += line;
      if (delayMs === 0 || held.length >= HELD_CHARS_MAX) flush();
      else timer ??= setTimeout(flush, delayMs).unref();
    },
  };
}
