/**
 * Says who asks. A text that can't be a key is refused before any I/O; a key that is remembered and good passes without any.
 * Requests whose key is not accepted are counted by address, and past the limit hardly anything is looked up for it any more.
 * Streams are let in by a ticket too, where no key comes.
 */
import type { FailureLimit, KnownKey, TicketDesk } from '../access/ports';
import type { KeyCache, RecognisedKey } from '../access/key-cache';
import { type LetIn, redeemTicket, unknownTicket } from '../access/redeem-ticket';
import { AppError, isAppError } from '../../domain/errors';
import { isWellFormedKey, isWellFormedTicket } from '../../domain/key/key-format';
import { NO_QUERY } from '../request-state';
import { type ApiContext, type ApiMiddleware, matchedRoute } from '../state';

export interface AuthenticateDeps {
  keys: Pick<KeyCache, 'peek' | 'wasReal' | 'isUnderWay' | 'lookUp'>;
  /** SHA-256 in hex */
  hashKey(secret: string): string;
  failures: FailureLimit;
  tickets: TicketDesk;
}

interface Attempt {
  authorization: string;
  /** of the client */
  address: string;
}

export function authenticate(deps: AuthenticateDeps): ApiMiddleware {
  const readKey = createKeyReader(deps.hashKey);
  return function authenticate(ctx, next) {
    const { state } = ctx;
    const route = matchedRoute(ctx);
    if (route.scopes === 'public') return next();
    const attempt = { authorization: ctx.req.headers.authorization ?? '', address: state.clientAddress };
    const ticket = route.takesTicket === true ? takeTicket(ctx) : undefined;
    if (ticket !== undefined && attempt.authorization === '') {
      return whoHolds(deps, attempt, ticket).then(({ principal, credential }) => {
        state.principal = principal;
        state.credential = credential;
        return next();
      });
    }
    const seen = glance(deps.keys, readKey(ctx.req.socket, attempt.authorization));
    if (isKey(seen) && refusalOf(seen, attempt.address) === undefined) {
      state.principal = seen.principal;
      state.credential = { keyHash: seen.hash, address: attempt.address };
      return next();
    }
    return whoAsks(deps, attempt, seen).then(({ principal, hash }) => {
      state.principal = principal;
      state.credential = { keyHash: hash, address: attempt.address };
      return next();
    });
  };
}

/** Out of the query, where nobody else is to see it. */
function takeTicket({ state }: ApiContext): string | undefined {
  const { ticket, ...rest } = state.rawQuery;
  if (ticket !== undefined) state.rawQuery = Object.keys(rest).length === 0 ? NO_QUERY : rest;
  return ticket;
}

async function whoHolds(deps: AuthenticateDeps, { address }: Attempt, ticket: string): Promise<LetIn> {
  const found = isWellFormedTicket(ticket) ? await redeem(deps, { ticket, address }) : unknownTicket();
  if (isAppError(found)) throw await counted(deps.failures, address, found);
  return found;
}

async function redeem(
  deps: AuthenticateDeps,
  attempt: { ticket: string; address: string },
): Promise<LetIn | AppError> {
  const { keys, failures } = deps;
  const waitSeconds = await failures.lookUpBlocked(attempt.address);
  if (waitSeconds !== undefined) throw tooManyFailures(waitSeconds);
  const keyFor = async (hash: string) => keys.peek(hash) ?? keys.lookUp(hash);
  return redeemTicket({ ...deps, keyFor, endOf }, attempt);
}

/** The key, whatever its state; why there is none; or what it must be looked up by. */
type Seen = RecognisedKey | AppError | { hash: string };

function isKey(seen: Seen): seen is RecognisedKey {
  return 'principal' in seen;
}

function isUnseen(seen: Seen): seen is { hash: string } {
  return !isKey(seen) && 'hash' in seen;
}

/** A header to the hash of its key. A connection that sends the same header again need not have it checked and hashed again. */
function createKeyReader(hashKey: AuthenticateDeps['hashKey']) {
  const last = new WeakMap<object, { authorization: string; hash: string }>();
  return (connection: object, authorization: string): string | AppError => {
    const known = last.get(connection);
    if (known?.authorization === authorization) return known.hash;
    const secret = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (secret === undefined) {
      return new AppError('unauthenticated', 'The Authorization header is not of the form `Bearer mrk_…`.');
    }
    if (!isWellFormedKey(secret)) return unknownKey();
    const hash = hashKey(secret);
    last.set(connection, { authorization, hash });
    return hash;
  };
}

/** As far as it can be told without any I/O. */
function glance(keys: AuthenticateDeps['keys'], hash: string | AppError): Seen {
  if (typeof hash !== 'string') return hash;
  const remembered = keys.peek(hash);
  return remembered === undefined ? { hash } : (remembered ?? unknownKey());
}

async function whoAsks(deps: AuthenticateDeps, attempt: Attempt, seen: Seen): Promise<RecognisedKey> {
  if (attempt.authorization === '') {
    // Nothing was tried, so it is no failure that counts.
    throw new AppError('unauthenticated', 'Send an API key: `Authorization: Bearer mrk_…`.');
  }
  const key = isUnseen(seen) ? await lookUp(deps, attempt, seen.hash) : seen;
  const refusal = isKey(key) ? refusalOf(key, attempt.address) : key;
  if (refusal !== undefined) throw await counted(deps.failures, attempt.address, refusal);
  return key as RecognisedKey;
}

async function lookUp(
  { keys, failures }: AuthenticateDeps,
  { address }: Attempt,
  hash: string,
): Promise<RecognisedKey | AppError> {
  // A real key must not wait for the mistakes of others at its address.
  if (!keys.wasReal(hash) && !keys.isUnderWay(hash)) {
    const waitSeconds = await failures.lookUpBlocked(address);
    if (waitSeconds !== undefined) throw tooManyFailures(waitSeconds);
  }
  return (await keys.lookUp(hash)) ?? unknownKey();
}

function unknownKey(): AppError {
  return new AppError('unauthenticated', 'This API key is not known.');
}

function refusalOf(key: RecognisedKey, address: string): AppError | undefined {
  const end = endOf(key);
  if (end !== undefined || key.admits(address)) return end;
  return new AppError('address_not_allowed', `This API key may not be used from ${address || 'there'}.`);
}

function endOf({ known, hasEnded }: RecognisedKey): AppError | undefined {
  if (known.revokedAt !== null) return new AppError('key_revoked', 'This API key was revoked.');
  return hasEnded() ? new AppError('key_expired', whatEnded(known)) : undefined;
}

function whatEnded({ expiresAt, secretEndsAt }: KnownKey): string {
  if (secretEndsAt !== null && (expiresAt === null || secretEndsAt < expiresAt)) {
    return `This secret of the API key was rotated out and ended at ${secretEndsAt.toISOString()}.`;
  }
  return `This API key expired at ${expiresAt?.toISOString()}.`;
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
