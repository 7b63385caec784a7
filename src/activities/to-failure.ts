/** The one place where an error of ours becomes a failure of Temporal's: by an explicit type, never by class. */
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { ERROR_CATALOG, isAppError } from '../domain/errors';

/** @returns an ApplicationFailure whose `type` is the catalogue's code; what is not ours passes through. */
export function toFailure(error: unknown): unknown {
  if (!isAppError(error)) return error;
  return ApplicationFailure.create({
    type: error.code,
    message: error.detail,
    nonRetryable: !ERROR_CATALOG[error.code].retryable,
    cause: error,
  });
}

/** As `toFailure`, but to be tried again later whatever the catalogue says: for work that is never given up. */
export function toRetryableFailure(error: unknown, delayMs: number): unknown {
  if (!isAppError(error)) return error;
  return ApplicationFailure.create({
    type: error.code,
    message: error.detail,
    nonRetryable: false,
    nextRetryDelay: delayMs,
    // To wait for a turn is no fault: it stays out of the warnings.
    ...(error.code === 'not_its_turn' && { category: ApplicationFailureCategory.BENIGN }),
    cause: error,
  });
}
