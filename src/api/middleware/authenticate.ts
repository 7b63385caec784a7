/** Says who asks. A text that can't be a key is refused before any I/O; the scopes of the route are checked here too. */
import { AppError } from '../../domain/errors';
import { isWellFormedKey } from '../../domain/key/key-format';
import type { Principal, Scope } from '../../domain/key/scopes';
import type { KeyLookup, KnownKey } from '../ports';
import { type ApiMiddleware, matchedRoute } from '../state';

export interface AuthenticateDeps {
  keys: KeyLookup;
  hashKey(secret: string): Uint8Array;
  now(): Date;
}

export function authenticate(deps: AuthenticateDeps): ApiMiddleware {
  return async function authenticate(ctx, next) {
    const { scopes } = matchedRoute(ctx);
    if (scopes !== 'public') {
      const key = await knownKey(deps, ctx.get('Authorization'));
      ctx.state.principal = toPrincipal(key);
      ctx.state.log = ctx.state.log.child({ tenant_id: key.tenantId, key_id: key.keyId });
      requireScopes(key.scopes, scopes);
    }
    await next();
  };
}

async function knownKey(deps: AuthenticateDeps, authorization: string): Promise<KnownKey> {
  const secret = bearerToken(authorization);
  const key = isWellFormedKey(secret) ? await deps.keys.findByHash(deps.hashKey(secret)) : undefined;
  if (key === undefined) throw new AppError('unauthenticated', 'This API key is not known.');
  if (key.revokedAt !== null) throw new AppError('key_revoked', 'This API key was revoked.');
  if (key.expiresAt !== null && key.expiresAt <= deps.now()) {
    throw new AppError('key_expired', `This API key expired at ${key.expiresAt.toISOString()}.`);
  }
  return key;
}

function bearerToken(authorization: string): string {
  if (authorization === '') {
    throw new AppError('unauthenticated', 'Send an API key: `Authorization: Bearer mrk_…`.');
  }
  const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (token === undefined) {
    throw new AppError('unauthenticated', 'The Authorization header is not of the form `Bearer mrk_…`.');
  }
  return token;
}

function requireScopes(held: readonly Scope[], needed: readonly Scope[]): void {
  if (held.includes('admin')) return;
  const missing = needed.filter((scope) => !held.includes(scope));
  if (missing.length > 0) {
    throw new AppError(
      'missing_scope',
      `This needs the scope ${missing.join(', ')}, which the API key lacks.`,
    );
  }
}

function toPrincipal(key: KnownKey): Principal {
  return {
    keyId: key.keyId,
    tenantId: key.tenantId,
    tenantName: key.tenantName,
    plan: key.plan,
    scopes: key.scopes,
    limits: key.limits,
  };
}
