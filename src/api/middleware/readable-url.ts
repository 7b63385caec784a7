/** A URL that can't be decoded is a 400, one that holds what can't be stored a 422; what passes is safe to decode and store. */
import { AppError, type ErrorDetail } from '../../domain/errors';
import type { ApiMiddleware } from '../state';

export function readableUrl(): ApiMiddleware {
  return function readableUrl(ctx, next) {
    const { path, querystring } = ctx;
    ctx.state.path = path;
    storable(decode(path, 'path'), 'The path');
    if (querystring !== '') ctx.state.rawQuery = parseQuery(querystring);
    return next();
  };
}

/** @throws AppError `malformed_request`, `not_storable`, `validation_failed` for a parameter given twice */
export function parseQuery(querystring: string): Record<string, string> {
  const query = new Map<string, string>();
  const twice: ErrorDetail[] = [];
  for (const pair of querystring.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = queryText(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : queryText(pair.slice(equals + 1));
    if (query.has(name)) twice.push({ parameter: name, detail: 'given twice' });
    query.set(name, value);
  }
  if (twice.length > 0) {
    throw new AppError('validation_failed', 'A query parameter is given more than once.', { errors: twice });
  }
  // fromEntries defines own properties, so a parameter named __proto__ is a name like any other.
  return Object.fromEntries(query);
}

function queryText(text: string): string {
  return storable(decode(text.replaceAll('+', ' '), 'query'), 'The query');
}

function decode(text: string, part: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw new AppError('malformed_request', `The ${part} holds percent-encoding that is not UTF-8.`);
  }
}

function storable(text: string, what: string): string {
  if (text.includes('\u0000')) throw new AppError('not_storable', `${what} holds the character U+0000.`);
  if (!text.isWellFormed()) throw new AppError('not_storable', `${what} holds a lone surrogate.`);
  return text;
}
