/** What a request says about the bounds of a key. */
import { AppError } from '../../domain/errors';
import type { KeyBounds } from '../../domain/key/key-bounds';

interface BoundsInput {
  expires_at?: string | null | undefined;
  allowed_cidrs?: string[] | undefined;
  requests_per_minute?: number | null | undefined;
  requests_per_day?: number | null | undefined;
}

/** Those that are named. @throws AppError `validation_failed` for a time that has passed */
export function wantedBounds(input: BoundsInput, now: Date): Partial<KeyBounds> {
  const { expires_at, allowed_cidrs, requests_per_minute, requests_per_day } = input;
  return {
    ...(expires_at !== undefined && { expires_at: futureTime(expires_at, now) }),
    ...(allowed_cidrs !== undefined && { allowed_cidrs: [...new Set(allowed_cidrs)] }),
    ...(requests_per_minute !== undefined && { requests_per_minute }),
    ...(requests_per_day !== undefined && { requests_per_day }),
  };
}

function futureTime(text: string | null, now: Date): Date | null {
  if (text === null) return null;
  const time = new Date(text);
  if (time > now) return time;
  const errors = [{ pointer: '/expires_at', detail: 'lies in the past' }];
  throw new AppError('validation_failed', '/expires_at: lies in the past', { errors });
}
