/** Brings a request target to the form `/path?query` (RFC 9112 §3.2), so that nothing behind it meets a URL it can't parse. */
import type { ApiMiddleware } from '../state';

export function originForm(): ApiMiddleware {
  return function originForm(ctx, next) {
    const target = ctx.req.url ?? '/';
    if (!target.startsWith('/')) ctx.req.url = toOriginForm(target);
    return next();
  };
}

function toOriginForm(target: string): string {
  if (!URL.canParse(target)) return `/${encodeURIComponent(target)}`;
  const { pathname, search } = new URL(target);
  return pathname.startsWith('/') ? `${pathname}${search}` : `/${pathname}${search}`;
}
