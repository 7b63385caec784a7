/** Turns text and unknown JSON into what the route declared, or refuses with every finding at once. */
import { type ZodType, z } from 'zod';
import { AppError, type ErrorDetail } from '../../domain/errors';
import type { Route } from '../route';
import { NO_QUERY } from '../request-state';
import { type ApiContext, type ApiMiddleware, matchedRoute } from '../state';
import { toErrorDetails } from '../validation';

export function validate(): ApiMiddleware {
  const nothing = z.strictObject({});
  return function validate(ctx, next) {
    const route = matchedRoute(ctx);
    ctx.state.params = checkParams(route, ctx.state.rawParams ?? {});
    const errors: ErrorDetail[] = [];
    ctx.state.query = check(queryCheck(route, ctx, nothing), errors);
    ctx.state.body = check(bodyCheck(route, ctx, nothing), errors);
    if (errors.length > 0) throw new AppError('validation_failed', sentence(errors), { errors });
    return next();
  };
}

function checkParams(route: Route, raw: Record<string, string>): unknown {
  if (route.params === undefined) return undefined;
  const parsed = route.params.safeParse(raw);
  if (!parsed.success) throw new AppError('not_found', 'There is nothing at this address.');
  return parsed.data;
}

interface Check {
  schema: ZodType | undefined;
  value: unknown;
  at: 'pointer' | 'parameter';
}

function queryCheck(route: Route, ctx: ApiContext, nothing: ZodType): Check {
  const { rawQuery } = ctx.state;
  // Pages for people are linked to with whatever a mailer or a browser adds.
  const anythingGoes = route.hidden === true || rawQuery === NO_QUERY;
  return { schema: route.query ?? (anythingGoes ? undefined : nothing), value: rawQuery, at: 'parameter' };
}

function bodyCheck(route: Route, ctx: ApiContext, nothing: ZodType): Check {
  const { rawBody } = ctx.state;
  const schema = route.body ?? (rawBody === undefined ? undefined : nothing);
  return { schema, value: rawBody, at: 'pointer' };
}

function check({ schema, value, at }: Check, errors: ErrorDetail[]): unknown {
  if (schema === undefined) return undefined;
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  if (at === 'pointer' && value === undefined) errors.push({ pointer: '', detail: 'a JSON body is needed' });
  else errors.push(...toErrorDetails(parsed.error, at));
  return undefined;
}

function sentence(errors: readonly ErrorDetail[]): string {
  const [first] = errors;
  const where = first?.parameter ?? (first?.pointer || 'the body');
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  return `${where}: ${first?.detail}${more}`;
}
