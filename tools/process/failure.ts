import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const tailBytes = 8 * 1024;

/** A failure that a person is meant to read; `logFile` holds what the program concerned said. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';

  constructor(
    message: string,
    readonly logFile?: string,
  ) {
    super(message);
  }
}

/** The message with the last lines of the log it concerns, ready to print. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof StartFailure)) return error.stack ?? error.message;
  const tail = error.logFile ? lastLines(error.logFile, 15) : '';
  return tail ? `${error.message}\n\nThe end of ${error.logFile}:\n${tail}` : error.message;
}

/** The last lines of a file; empty when it can't be read. */
export function lastLines(file: string, count: number): string {
  try {
    const handle = openSync(file, 'r');
    try {
      const { size } = fstatSync(handle);
      const buffer = Buffer.alloc(Math.min(size, tailBytes));
      readSync(handle, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString('utf8').trimEnd().split('\n').slice(-count).join('\n');
    } finally {
      closeSync(handle);
    }
  } catch {
    return '';
  }
}
