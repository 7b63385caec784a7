/**
 * Says who asks. A text that can't be a key is refused before any I/O; a key that is remembered and good passes without any.
 * Requests whose key is not accepted are counted by address, and past the limit nothing is looked up for an address any more.
 */
import type { FailureLimit } from '../access/ports';
import type { KeyCache, RecognisedKey } from '../access/key-cache';
import { AppError } from '../../domain/errors';
import { isWellFormedKey } from '../../domain/key/key-format';
import { type ApiMiddleware, matchedRoute } from '../state';

export interface AuthenticateDeps {
  keys: Pick<KeyCache, 'peek' | 'wasReal' | 'lookUp'>;
  /** SHA-256 in hex */
  hashKey(secret: string): string;
  failures: FailureLimit;
  now(): Date;
}

interface Attempt {
  authorization: string;
  /** of the client */
  address: string;
}

export function authenticate(deps: AuthenticateDeps): ApiMiddleware {
  return function authenticate(ctx, next) {
    if (matchedRoute(ctx).scopes === 'public') return next();
    const attempt = { authorization: ctx.req.headers.authorization ?? '', address: ctx.state.clientAddress };
    const seen = glance(deps, attempt.authorization);
    if (isKey(seen) && refusalOf(seen, attempt.address, deps.now()) === undefined) {
      ctx.state.principal = seen.principal;
      return next();
    }
    return whoAsks(deps, attempt, seen).then(({ principal }) => {
      ctx.state.principal = principal;
      return next();
    });
  };
}

/** The key, whatever its state; why there is none; or what it must be looked up by. */
type Seen = RecognisedKey | AppError | { hash: string };

function isKey(seen: Seen): seen is RecognisedKey {
  return 'principal' in seen;
}

/** As far as it can be told without any I/O. */
function glance({ keys, hashKey }: AuthenticateDeps, authorization: string): Seen {
  const secret = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (secret === undefined) {
    return new AppError('unauthenticated', 'The Authorization header is not of the form `Bearer mrk_…`.');
  }
  if (!isWellFormedKey(secret)) return unknownKey();
  const hash = hashKey(secret);
  const remembered = keys.peek(hash);
  return remembered === undefined ? { hash } : (remembered ?? unknownKey());
}

async function whoAsks(deps: AuthenticateDeps, attempt: Attempt, seen: Seen): Promise<RecognisedKey> {
  if (attempt.authorization === '') {
    // Nothing was tried, so it is no failure that counts.
    throw new AppError('unauthenticated', 'Send an API key: `Authorization: Bearer mrk_…`.');
  }
  const key = 'hash' in seen ? await lookUp(deps, attempt, seen.hash) : seen;
  const refusal = isKey(key) ? refusalOf(key, attempt.address, deps.now()) : key;
  if (refusal !== undefined) throw await counted(deps.failures, attempt.address, refusal);
  return key as RecognisedKey;
}

async function lookUp(
  { keys, failures }: AuthenticateDeps,
  { address }: Attempt,
  hash: string,
): Promise<RecognisedKey | AppError> {
  // A real key must not wait for the mistakes of others at its address.
  if (!keys.wasReal(hash)) {
    const waitSeconds = await failures.blocked(address);
    if (waitSeconds !== undefined) throw tooManyFailures(waitSeconds);
  }
  return (await keys.lookUp(hash)) ?? unknownKey();
}

function unknownKey(): AppError {
  return new AppError('unauthenticated', 'This API key is not known.');
}

function refusalOf({ known, admits }: RecognisedKey, address: string, now: Date): AppError | undefined {
  const { revokedAt, expiresAt, secretEndsAt } = known;
  if (revokedAt !== null) return new AppError('key_revoked', 'This API key was revoked.');
  if (expiresAt !== null && expiresAt <= now) {
    return new AppError('key_expired', `This API key expired at ${expiresAt.toISOString()}.`);
  }
  if (secretEndsAt !== null && secretEndsAt <= now) {
    const detail = `This secret of the API key was rotated out and ended at ${secretEndsAt.toISOString()}.`;
    return new AppError('key_expired', detail);
  }
  if (admits(address)) return undefined;
  return new AppError('address_not_allowed', `This API key may not be used from ${address || 'there'}.`);
}

async function counted(failures: FailureLimit, address: string, refusal: AppError): Promise<AppError> {
  const waitSeconds = await failures.blocked(address);
  if (waitSeconds !== undefined) return tooManyFailures(waitSeconds);
  await failures.failed(address);
  return refusal;
}

function tooManyFailures(retryAfterSeconds: number): AppError {
  const detail = 'Too many requests from your address came with a key that is not accepted.';
  return new AppError('too_many_failures', detail, { retryAfterSeconds });
}
