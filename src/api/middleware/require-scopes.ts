/** Whether who asks may do this. It stands behind the rate limit, so that what is refused here is counted too. */
import { AppError } from '../../domain/errors';
import { type ApiMiddleware, matchedRoute } from '../state';

export function requireScopes(): ApiMiddleware {
  return function requireScopes(ctx, next) {
    const { scopes } = matchedRoute(ctx);
    const held = ctx.state.principal?.scopes ?? [];
    if (scopes !== 'public' && !held.includes('admin')) {
      const missing = scopes.filter((scope) => !held.includes(scope));
      if (missing.length > 0) {
        throw new AppError(
          'missing_scope',
          `This needs the scope ${missing.join(', ')}, which the API key lacks.`,
        );
      }
    }
    return next();
  };
}
