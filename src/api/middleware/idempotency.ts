/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07). The first request claims the key; its answer is stored in the
 * transaction of its effect. It stands behind validation, so that a request that is refused claims nothing; one that fails
 * before its effect gives the claim back.
 */
import { createHash } from 'node:crypto';
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import type {
  ClaimOutcome,
  IdempotencyClaim,
  IdempotencyStore,
  SecretBox,
  StoredAnswer,
  Transact,
} from '../ports';
import type { Answer, JsonAnswer } from '../respond';
import type { Route } from '../route';
import { type ApiContext, type ApiMiddleware, matchedRoute } from '../state';

export interface IdempotencyDeps {
  /** outside of any transaction: a claim must be seen by others at once */
  idempotency: IdempotencyStore;
  transact: Transact;
  secretBox: SecretBox;
}

export function idempotency(deps: IdempotencyDeps): ApiMiddleware {
  return function idempotency(ctx, next) {
    const route = matchedRoute(ctx);
    const { principal } = ctx.state;
    ctx.state.transact = deps.transact;
    if (route.idempotent !== true || principal === undefined) return next();
    const header = ctx.get('Idempotency-Key');
    return header === '' ? next() : once(deps, { ctx, route, principal, header }, next);
  };
}

interface Keyed {
  ctx: ApiContext;
  route: Route;
  principal: Principal;
  header: string;
}

async function once(
  deps: IdempotencyDeps,
  { ctx, route, principal, header }: Keyed,
  next: () => Promise<unknown>,
): Promise<void> {
  const request = {
    tenantId: principal.tenantId,
    key: parseKey(header),
    route: `${route.method} ${route.path}`,
    fingerprint: fingerprint(ctx, route, principal),
  };
  const codec = answerCodec(route.secretAnswer === true ? deps.secretBox : undefined, request);
  const outcome = await deps.idempotency.claim(request);
  if (outcome.kind === 'claimed') {
    await runClaimed(ctx, next, { ...deps, codec, claim: outcome.claim });
  } else {
    refuseOther(outcome, request.fingerprint);
    ctx.state.answer = codec.decode(outcome.answer);
  }
}

type Taken = Exclude<ClaimOutcome, { kind: 'claimed' }>;

/** @throws AppError unless `taken` is the answer to the very same request */
function refuseOther(taken: Taken, fingerprint: Uint8Array): asserts taken is Taken & { kind: 'answered' } {
  if (!Buffer.from(taken.fingerprint).equals(fingerprint)) {
    throw new AppError('idempotency_mismatch', 'This Idempotency-Key came with another request before.');
  }
  if (taken.kind === 'running') {
    const detail = 'A request with this Idempotency-Key is still running; ask again when it has ended.';
    throw new AppError('idempotency_in_progress', detail, { retryAfterSeconds: 1 });
  }
}

/** Bare or as a quoted structured-field string. @throws AppError `malformed_request` */
export function parseKey(header: string): string {
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header);
  const key = quoted?.[1] === undefined ? header : quoted[1].replace(/\\(["\\])/g, '$1');
  if (!/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw new AppError('malformed_request', 'An Idempotency-Key has 1 to 255 printable ASCII characters.');
  }
  return key;
}

/** What makes two requests the same. */
function fingerprint(ctx: ApiContext, route: Route, principal: Principal): Buffer {
  const head = [route.method, ctx.path, ctx.querystring, audience(route, principal)].join('\n');
  return createHash('sha256')
    .update(`${head}\n\n`)
    .update(ctx.state.bodyBytes ?? '')
    .digest();
}

/** Who may get the answer again: one with a secret, the very key that got it; one to `admin`, who is shown more, those with it. */
function audience({ secretAnswer }: Route, { keyId, scopes }: Principal): string {
  if (secretAnswer === true) return keyId;
  return scopes.includes('admin') ? 'admin' : '';
}

interface Claimed extends IdempotencyDeps {
  codec: AnswerCodec;
  claim: IdempotencyClaim;
}

async function runClaimed(ctx: ApiContext, next: () => Promise<unknown>, claimed: Claimed): Promise<void> {
  const { codec, claim } = claimed;
  let stored = false;
  const store = async (idempotency: IdempotencyStore, answer: Answer): Promise<void> => {
    if (await idempotency.complete(claim, codec.encode(answer))) return;
    throw new AppError('idempotency_in_progress', 'Another request took this Idempotency-Key over.');
  };
  ctx.state.transact = async (work) => {
    if (stored) throw new TypeError('a request has one unit of work');
    const answer = await claimed.transact(async (stores) => {
      const made = await work(stores);
      await store(stores.idempotency, made);
      return made;
    });
    stored = true;
    return answer;
  };
  try {
    await next();
    if (!stored && ctx.state.answer !== undefined) await store(claimed.idempotency, ctx.state.answer);
  } catch (error) {
    // Answered claims stay as they are: what came after the commit may fail, its effect stands.
    await claimed.idempotency.release(claim).catch((cause: unknown) => {
      ctx.state.log.warn({ err: cause }, 'idempotency claim not released; it ends by itself');
    });
    throw error;
  }
}

interface AnswerCodec {
  encode(answer: Answer): StoredAnswer;
  decode(stored: StoredAnswer): JsonAnswer;
}

/** @param box encrypts what is kept, where the answer holds a secret */
function answerCodec(
  box: SecretBox | undefined,
  { tenantId, key }: { tenantId: string; key: string },
): AnswerCodec {
  const context = `idempotency/${tenantId}/${key}`;
  return {
    encode: (answer) => {
      if (answer.kind !== 'json')
        throw new TypeError('only a JSON answer can be kept for an Idempotency-Key');
      const { status, headers = {}, body, jsonText } = answer;
      const text = jsonText ?? (body === undefined ? undefined : JSON.stringify(body));
      if (text === undefined) return { status, headers, body: null };
      const plain = Buffer.from(text);
      return { status, headers, body: box === undefined ? plain : box.seal(plain, context) };
    },
    decode: ({ status, headers, body }) => {
      const plain = body !== null && box !== undefined ? box.open(body, context) : body;
      return {
        kind: 'json',
        status,
        headers: { ...headers, 'Idempotency-Replayed': 'true' },
        jsonText: plain === null ? undefined : Buffer.from(plain).toString('utf8'),
      };
    },
  };
}
