/** From whatever a handler threw to an item's error, and whether another attempt makes sense. */
import { ERROR_CATALOG, isAppError } from '../../domain/errors';
import { toErrorMessage } from '../../domain/handler/error-message';
import { RETRY_AFTER_MAX_MS } from '../../domain/outbound/retry-after';

export interface Failure {
  code: string;
  message: string;
  retryable: boolean;
  /** least wait before another attempt, where the failure itself asks for it */
  retryAfterMs?: number;
}

export interface ItemFailureOptions {
  /** default true */
  retryable?: boolean;
  /** least wait before the next attempt, up to a day; where the retry policy waits longer, that counts */
  retryAfterMs?: number | undefined;
}

const CODE = /^[a-z][a-z0-9_]{0,63}$/;

/** What a handler throws to name the `code` of an item's error itself; any other error is a `handler_failed`. */
export class ItemFailure extends Error {
  override readonly name = 'ItemFailure';
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(
    readonly code: string,
    message: string,
    { retryable = true, retryAfterMs }: ItemFailureOptions = {},
  ) {
    super(message);
    if (!CODE.test(code))
      throw new TypeError(`An error code is lower_snake_case, up to 64 characters: ${code}`);
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

export function failure(code: keyof typeof ERROR_CATALOG, message: string, retryable = false): Failure {
  return { code, message: toErrorMessage(message), retryable };
}

/** Never throws, whatever was thrown: a getter or a proxy of the handler's may throw again. */
export function toFailure(thrown: unknown): Failure {
  try {
    const { code, message } = describe(thrown);
    return { code, message: toErrorMessage(message), retryable: isRetryable(thrown), ...waitOf(thrown) };
  } catch {
    return failure('handler_failed', 'The handler threw something that cannot be read.', true);
  }
}

function describe(thrown: unknown): { code: string; message: string } {
  if (isAppError(thrown)) return { code: thrown.code, message: thrown.detail };
  if (isItemFailure(thrown)) return { code: thrown.code, message: thrown.message };
  if (isObject(thrown) && typeof thrown.message === 'string') {
    return { code: 'handler_failed', message: thrown.message || nameOf(thrown) };
  }
  return { code: 'handler_failed', message: `The handler threw ${describeValue(thrown)}.` };
}

function describeValue(thrown: unknown): string {
  if (typeof thrown === 'string') return JSON.stringify(thrown);
  return isObject(thrown) ? (JSON.stringify(thrown) ?? 'an object') : String(thrown);
}

function nameOf(error: Record<string, unknown>): string {
  return typeof error.name === 'string' ? error.name : 'Error';
}

/** An error that says so itself is believed; an `AppError` goes by the catalogue; others are worth another attempt. */
function isRetryable(thrown: unknown): boolean {
  if (isObject(thrown)) {
    if (typeof thrown.nonRetryable === 'boolean') return !thrown.nonRetryable;
    if (typeof thrown.retryable === 'boolean') return thrown.retryable;
  }
  return isAppError(thrown) ? ERROR_CATALOG[thrown.code].retryable : true;
}

function waitOf(thrown: unknown): { retryAfterMs?: number } {
  const wish = isItemFailure(thrown) ? thrown.retryAfterMs : undefined;
  if (typeof wish !== 'number' || !(wish > 0)) return {};
  return { retryAfterMs: Math.min(Math.ceil(wish), RETRY_AFTER_MAX_MS) };
}

/** By name and shape: a handler's file may bring a copy of the class of its own. */
function isItemFailure(thrown: unknown): thrown is ItemFailure {
  return (
    isObject(thrown) &&
    thrown.name === 'ItemFailure' &&
    typeof thrown.code === 'string' &&
    CODE.test(thrown.code)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
