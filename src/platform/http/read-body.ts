/** The body of an answer, decompressed and never larger than allowed, however small it came. */
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { failed, toFault } from './fault';

/** What the client asks for; anything else in `content-encoding` can't be read. */
export const ACCEPT_ENCODING = 'gzip, br, deflate';

export interface Body {
  bytes: Buffer;
  /** there was more */
  cut: boolean;
}

/** What a compressed body may have beyond its decompressed size: headers and checksums. */
const WIRE_SLACK_BYTES = 65_536;
const ENCODINGS_MAX = 3;

/**
 * @param encoding the `content-encoding`
 * @throws Fault `invalid_response`; what the stream throws
 */
export async function readBody(wire: Readable, encoding: string, bytesMax: number): Promise<Body> {
  const encodings = encoding
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter(isEncoding);
  if (encodings.length > ENCODINGS_MAX) throw unreadable(encoding);
  let body = await take(wire, encodings.length > 0 ? bytesMax + WIRE_SLACK_BYTES : bytesMax);
  for (const name of encodings.toReversed()) {
    // The last is the outermost, and only what comes of the first has to keep to the limit.
    if (body.bytes.length > 0) body = await decode(name, body, bytesMax);
  }
  return body;
}

function isEncoding(name: string): boolean {
  return name !== '' && name !== 'identity';
}

async function take(source: AsyncIterable<unknown>, bytesMax: number): Promise<Body> {
  const chunks: Buffer[] = [];
  let room = bytesMax;
  for await (const chunk of source) {
    const bytes = chunk as Buffer;
    // Leaving the loop destroys the source.
    if (bytes.length > room) return { bytes: Buffer.concat([...chunks, bytes.subarray(0, room)]), cut: true };
    chunks.push(bytes);
    room -= bytes.length;
  }
  return { bytes: Buffer.concat(chunks), cut: false };
}

async function decode(name: string, { bytes, cut }: Body, bytesMax: number): Promise<Body> {
  const decoder = decoderFor(name, bytes);
  if (decoder === undefined) throw unreadable(name);
  const chunks: Buffer[] = [];
  decoder.end(bytes);
  try {
    const decoded = await take(withMemory(decoder, chunks), bytesMax);
    return { bytes: decoded.bytes, cut: decoded.cut || cut };
  } catch {
    // Of a body that was cut the end is missing, and what came before it is good.
    if (cut) return { bytes: Buffer.concat(chunks), cut };
    throw unreadable(name);
  }
}

async function* withMemory(source: AsyncIterable<unknown>, memory: Buffer[]): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    memory.push(chunk as Buffer);
    yield chunk as Buffer;
  }
}

function decoderFor(name: string, bytes: Buffer) {
  if (name === 'gzip' || name === 'x-gzip') return createGunzip();
  if (name === 'br') return createBrotliDecompress();
  if (name !== 'deflate') return undefined;
  // Some servers leave the zlib wrapper out, which always begins so.
  return ((bytes[0] ?? 0) & 0x0f) === 8 ? createInflate() : createInflateRaw();
}

function unreadable(encoding: string): Error {
  return toFault(
    failed('invalid_response', `The body is not what its content-encoding says: ${encoding.slice(0, 60)}`),
  );
}
