import type { Place } from '../target';

/** What a protocol needs of the connection it is spoken on. */
export interface Line {
  write(bytes: string | Buffer): void;
  /** The subscriber is one: from now on every event of its topic must come. */
  subscribed(): void;
  /** Whole events, or at least whole marks. */
  events(bytes: Buffer): void;
}

/** One subscriber's side of a protocol. Throws for what it does not understand. */
export interface Speaker {
  /** The request that opens the connection. */
  readonly request: string;
  /** What came, as it came; the bytes are gone when this returns. */
  read(bytes: Buffer): void;
}

export interface SpeakerOptions {
  readonly place: Place;
  readonly topic: string;
  readonly line: Line;
}

/** A GET by HTTP/1.1. */
export function getRequest({ host, port, key }: Place, path: string, fields: readonly string[]): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    `Authorization: Bearer ${key}`,
    ...fields,
    '',
    '',
  ].join('\r\n');
}

export interface Head {
  readonly status: number;
  /** what came behind it */
  readonly rest: Buffer;
}

/** undefined: it has not come whole */
export function readHead(bytes: Buffer): Head | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  return { status: Number(bytes.toString('latin1', 9, 12)), rest: bytes.subarray(end + 4) };
}

/** What came before and could not be read yet, with what came now. */
export function joined(kept: Buffer | undefined, bytes: Buffer): Buffer {
  return kept === undefined ? bytes : Buffer.concat([kept, bytes]);
}
