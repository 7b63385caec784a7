/** Reads a JSON body: right media type, small enough, in time, well-formed, not too deep, and storable through and through. */
import type { IncomingMessage } from 'node:http';
import { type ParseError, parse as parseTolerantly, printParseErrorCode } from 'jsonc-parser';
import { unstorableReason } from '../../domain/batch/storable';
import { AppError } from '../../domain/errors';
import { isDeeperThan, JSON_DEPTH_MAX } from '../../domain/json-text';
import { type Route, takesJson } from '../route';
import { type ApiContext, type ApiMiddleware, matchedRoute } from '../state';

export const BODY_BYTES_MAX = 1024 * 1024;
const BODY_TIME_MAX_MS = 30_000;

export function readBody(): ApiMiddleware {
  return function readBody(ctx, next) {
    const route = matchedRoute(ctx);
    if (takesJson(route)) return readJson(ctx, route).then(next);
    if (route.rawBody !== undefined) requireMediaType(ctx, route.rawBody);
    return next();
  };
}

async function readJson(ctx: ApiContext, route: Route): Promise<void> {
  const bytes = await readBytes(ctx, route.bodyBytesMax ?? BODY_BYTES_MAX);
  ctx.state.bodyBytes = bytes;
  if (bytes.length === 0) return;
  requireMediaType(ctx, ['application/json']);
  ctx.state.rawBody = parseBody(bytes);
}

/** @throws AppError `malformed_json` with the line, `not_storable` */
export function parseBody(bytes: Uint8Array): unknown {
  const text = decode(bytes);
  const value = parseJson(text);
  const reason = unstorableReason(text);
  if (reason !== undefined) throw new AppError('not_storable', `The body holds ${reason}.`);
  if (isDeeperThan(text, JSON_DEPTH_MAX)) {
    throw new AppError('malformed_json', `The body nests deeper than ${JSON_DEPTH_MAX} levels.`);
  }
  return value;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AppError('malformed_json', 'The body is not UTF-8.');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const { line, detail } = firstMistake(text);
    const errors = [{ line, detail }];
    throw new AppError('malformed_json', `The body is not well-formed JSON (line ${line}).`, {
      cause,
      errors,
    });
  }
}

/** The runtime says what is wrong but not always where; a tolerant parser knows the place. */
function firstMistake(text: string): { line: number; detail: string } {
  const mistakes: ParseError[] = [];
  if (!isDeeperThan(text, JSON_DEPTH_MAX)) {
    parseTolerantly(text, mistakes, { disallowComments: true, allowTrailingComma: false });
  }
  const first = mistakes[0];
  if (first === undefined) return { line: lineAt(text, text.length), detail: 'not well-formed' };
  const words = printParseErrorCode(first.error).replace(/(?<=[a-z])(?=[A-Z])/g, ' ');
  return { line: lineAt(text, first.offset), detail: words.toLowerCase() };
}

function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

function requireMediaType(ctx: ApiContext, allowed: readonly string[]): void {
  const [type = '', ...parameters] = ctx.get('Content-Type').toLowerCase().split(';');
  const charset = parameters
    .map((p) => /^\s*charset="?([^"]*)"?\s*$/.exec(p)?.[1])
    .find((c) => c !== undefined);
  const known = allowed.includes(type.trim());
  if (known && (charset === undefined || charset === 'utf-8' || charset === 'utf8')) return;
  throw new AppError('unsupported_media_type', `Send one of ${allowed.join(', ')}, in UTF-8.`);
}

async function readBytes(ctx: ApiContext, bytesMax: number): Promise<Buffer> {
  const tooLarge = new AppError('body_too_large', `The body may have ${bytesMax} bytes.`);
  if (Number(ctx.get('Content-Length')) > bytesMax) throw tooLarge;
  if (ctx.req.complete && ctx.req.readableLength === 0) return Buffer.alloc(0);
  return collect(ctx.req, bytesMax, tooLarge);
}

/** Stops reading without destroying the request: its connection still has to carry the answer. */
function collect(req: IncomingMessage, bytesMax: number, tooLarge: AppError): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const settle = (error: AppError | undefined): void => {
      clearTimeout(timer);
      req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
      req.pause();
      if (error === undefined) resolve(Buffer.concat(chunks));
      else reject(error);
    };
    const onData = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > bytesMax) settle(tooLarge);
    };
    const onEnd = (): void => settle(undefined);
    const onClose = (): void =>
      settle(new AppError('malformed_request', 'The body ended before its last byte.'));
    const onTime = (): void => settle(new AppError('request_too_slow', 'The body took too long to arrive.'));
    const timer = setTimeout(onTime, BODY_TIME_MAX_MS);
    req.on('data', onData).once('end', onEnd).once('close', onClose).once('error', onClose);
  });
}
