/** From a server's answer to an item's output or failure. */
import { STATUS_CODES } from 'node:http';
import { onOneLine } from '../../domain/json-slice';
import type { OutboundFailure, OutboundFailureCode, OutboundResponse } from '../../domain/outbound/exchange';
import { retryAfterMs } from '../../domain/outbound/retry-after';
import { ItemFailure } from './failure';
import type { HttpParams } from './http-params';
import { ExactJson } from './output';

const USUAL_HEADERS = [
  'content-type',
  'location',
  'etag',
  'last-modified',
  'link',
  'retry-after',
  'x-request-id',
];
const SHOWN_BODY_MAX = 300;
const SHOWN_LOCATION_MAX = 200;
/** Shorter ones would turn up everywhere. */
const SECRET_LENGTH_MIN = 4;

export interface AnswerRules extends Pick<HttpParams, 'success_statuses' | 'response' | 'response_headers'> {
  /** not to be shown, should the server say them back */
  secrets: readonly string[];
  nowMs: number;
}

/** @throws ItemFailure `http_status`, `response_too_large` */
export function toAnswer(response: OutboundResponse, rules: AnswerRules): ExactJson {
  const { status } = response;
  const success = rules.success_statuses?.includes(status) ?? (status >= 200 && status < 300);
  if (!success) throw statusFailure(response, rules);
  if (response.cut) {
    const message = `The server answered ${status} with a body of more than ${response.body.length} bytes.`;
    throw new ItemFailure('response_too_large', message, { retryable: false });
  }
  const body = toBodyJson(response);
  if (rules.response === 'body') return new ExactJson(body);
  const headers = JSON.stringify(pick(response.headers, rules.response_headers ?? USUAL_HEADERS));
  return new ExactJson(`{"status":${status},"headers":${headers},"body":${body}}`);
}

function pick(headers: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  const wanted = names.map((name) => name.toLowerCase());
  return Object.fromEntries(Object.entries(headers).filter(([name]) => wanted.includes(name)));
}

/** The text of JSON as it came, other text as a string, anything else as `{"base64": …}`, nothing as null. */
function toBodyJson({ body, headers }: OutboundResponse): string {
  if (body.length === 0) return 'null';
  const contentType = headers['content-type'] ?? '';
  const text = toText(body, contentType);
  if (text === undefined) return JSON.stringify({ base64: Buffer.from(body).toString('base64') });
  return /^[^;]*[/+]json\s*(;|$)/i.test(contentType) && isJson(text)
    ? onOneLine(text.trim())
    : JSON.stringify(text);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function toText(bytes: Uint8Array, contentType: string): string | undefined {
  const charset = /;\s*charset="?([\w.:-]+)/i.exec(contentType)?.[1] ?? 'utf-8';
  try {
    const text = new TextDecoder(charset, { fatal: true }).decode(bytes);
    return text.includes('\u0000') ? undefined : text.toWellFormed();
  } catch {
    return undefined;
  }
}

function statusFailure(response: OutboundResponse, { secrets, nowMs }: AnswerRules): ItemFailure {
  const { status, headers } = response;
  const retryable = status === 408 || status === 429 || status >= 500;
  const message = withoutSecrets(`The server answered ${describe(response)}`, secrets);
  return new ItemFailure('http_status', message, {
    retryable,
    retryAfterMs: retryable ? retryAfterMs(headers['retry-after'], nowMs) : undefined,
  });
}

function describe({ status, headers, body }: OutboundResponse): string {
  const name = STATUS_CODES[status];
  const what = name === undefined ? String(status) : `${status} ${name}`;
  if (status >= 300 && status < 400) {
    const to = headers.location === undefined ? '' : ` to ${headers.location.slice(0, SHOWN_LOCATION_MAX)}`;
    return `${what}${to}; redirects are not followed.`;
  }
  const shown = beginning(body);
  return shown === '' ? `${what}.` : `${what}: ${shown}`;
}

/** The beginning of a text, on one line; '' of what is none. */
function beginning(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, 4 * SHOWN_BODY_MAX));
  if (text.includes('\u0000')) return '';
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > SHOWN_BODY_MAX ? `${line.slice(0, SHOWN_BODY_MAX - 1)}…` : line;
}

function withoutSecrets(message: string, secrets: readonly string[]): string {
  // Of `Bearer abc` the server may say back `abc` alone.
  const texts = secrets.flatMap((secret) => [secret, ...secret.split(/\s+/)]);
  return texts
    .filter((text) => text.length >= SECRET_LENGTH_MIN)
    .toSorted((a, b) => b.length - a.length)
    .reduce((shown, text) => shown.replaceAll(text, '[redacted]'), message);
}

const RETRYABLE: ReadonlySet<OutboundFailureCode> = new Set([
  'dns_failed',
  'connect_failed',
  'connection_lost',
  'timeout',
  'aborted',
]);

/** What kept the server from answering. */
export function toItemFailure({ code, message }: OutboundFailure): ItemFailure {
  const retryable = RETRYABLE.has(code);
  return new ItemFailure(code === 'invalid_request' ? 'template_failed' : code, message, { retryable });
}
