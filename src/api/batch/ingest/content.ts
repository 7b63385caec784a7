/** From a request's headers to the parser of its body, and the bytes between the two: unpacked and counted. */
import type { IncomingHttpHeaders } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { AppError, isAppError } from '../../../domain/errors';
import { parseCsv } from './csv';
import { parseJsonArray } from './json-array';
import type { ItemParser } from './limits';
import { parseNdjson } from './ndjson';

const PARSERS: Readonly<Record<string, ItemParser>> = {
  'application/x-ndjson': parseNdjson,
  'application/ndjson': parseNdjson,
  'application/jsonl': parseNdjson,
  'text/csv': parseCsv,
  'application/json': parseJsonArray,
};
export const UPLOAD_MEDIA_TYPES: readonly string[] = Object.keys(PARSERS);

/** @throws AppError `unsupported_media_type` */
export function parserFor(headers: IncomingHttpHeaders): ItemParser {
  const mediaType = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  const parser = Object.hasOwn(PARSERS, mediaType) ? PARSERS[mediaType] : undefined;
  if (parser !== undefined) return parser;
  throw new AppError('unsupported_media_type', `Send one of ${UPLOAD_MEDIA_TYPES.join(', ')}, in UTF-8.`);
}

type Decoder = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

/** @throws AppError `unsupported_media_type` */
export function decoderFor(headers: IncomingHttpHeaders): Decoder {
  const encoding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding === 'identity') return (chunks) => chunks;
  if (encoding === 'gzip' || encoding === 'x-gzip') return gunzip;
  throw new AppError('unsupported_media_type', 'As Content-Encoding only gzip is taken.');
}

/** @throws AppError `malformed_request` or `upload_incomplete`; whatever `chunks` throws */
async function* gunzip(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const plain = createGunzip();
  // Failures reach the loop below: a broken source destroys `plain` with its error.
  pipeline(Readable.from(chunks, { objectMode: false }), plain, () => undefined);
  try {
    for await (const chunk of plain) yield chunk as Buffer;
  } catch (error) {
    throw isAppError(error) ? error : toGzipError(error);
  }
}

function toGzipError(cause: unknown): unknown {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  if (code === 'Z_BUF_ERROR') {
    return new AppError('upload_incomplete', 'The gzip stream ends before its last byte.', { cause });
  }
  if (!code.startsWith('Z_')) return cause;
  return new AppError('malformed_request', 'The body is not a gzip stream.', { cause });
}

/** @throws AppError `body_too_large` */
export async function* upToBytes(
  chunks: AsyncIterable<Buffer>,
  bytesMax: number,
): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw bodyTooLarge(bytesMax);
    yield chunk;
  }
}

export function bodyTooLarge(bytesMax: number): AppError {
  return new AppError('body_too_large', `An upload may have ${bytesMax} bytes.`);
}
