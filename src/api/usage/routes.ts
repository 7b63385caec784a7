/** What was used, and what is left. Both routes are exact at once: nothing waits for a rollup. */
import { z } from 'zod';
import { AppError } from '../../domain/errors';
import type { Principal } from '../../domain/key/scopes';
import { type DayRange, dayEnd, dayOf, daysIn, monthOf, startOf } from '../../domain/usage/period';
import { byDay, type DayCount, type TenantUse, totalsIn } from '../../domain/usage/usage';
import { ok } from '../respond';
import { defineRoute, type Route } from '../route';
import { idParam } from '../schema';
import type { KeyStore } from '../key/ports';
import { visibleKey } from '../key/visible';
import { existing, maySee } from '../tenant/visible';
import type { PolicyUse, RequestLimiter } from '../limits/ports';
import type { UsageReads } from './ports';
import { keyUsageSchema, rangeQuery, USAGE_DAYS_MAX, usageSchema } from './schema';

export interface UsageRouteDeps {
  usage: UsageReads;
  limiter: Pick<RequestLimiter, 'look'>;
  keys: Pick<KeyStore, 'find' | 'findAnywhere'>;
  now(): Date;
}

export function usageRoutes(deps: UsageRouteDeps): Route[] {
  return [getUsage(deps), getKeyUsage(deps)];
}

function getUsage(deps: UsageRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/usage',
    operationId: 'getUsage',
    summary: 'What a tenant has used, and what is left',
    description:
      'Of your own tenant; with `admin`, of any. Days and months are those of UTC. Totals are exact when they are asked for; ' +
      'requests of the last half second may be missing.',
    tags: ['usage'],
    scopes: [],
    query: z.strictObject({
      ...rangeQuery,
      tenant_id: z
        .string()
        .max(64)
        .optional()
        .describe('Another tenant than your own: only with the scope `admin`'),
    }),
    responses: { 200: { description: 'The usage', schema: usageSchema } },
    errors: ['not_found'],
    handler: async ({ query, principal }) => {
      const now = deps.now();
      const periods = periodsOf(query, now);
      const tenantId = query.tenant_id ?? principal.tenantId;
      const tenant = existing(maySee(principal, tenantId) ? await deps.usage.tenant(tenantId) : undefined);
      const [counts, uses] = await Promise.all([
        deps.usage.counts({ tenantId }, [periods.asked, periods.month]),
        deps.limiter.look(tenantAlone(principal, { ...tenant, tenantId })),
      ]);
      return ok({
        object: 'usage',
        tenant_id: tenantId,
        plan: tenant.plan.name,
        limits: { ...toRequestLimits(uses, now), ...toLimits(tenant) },
        ...toPeriods(counts, periods),
      });
    },
  });
}

function getKeyUsage(deps: UsageRouteDeps): Route {
  return defineRoute({
    method: 'get',
    path: '/v1/api-keys/{id}/usage',
    operationId: 'getApiKeyUsage',
    summary: 'What an API key has used',
    description:
      'Of a key of your own tenant; with `admin`, of any. Items count for the key that made their job.',
    tags: ['keys', 'usage'],
    scopes: ['keys:read'],
    params: z.strictObject({ id: idParam('key') }),
    query: z.strictObject(rangeQuery),
    responses: { 200: { description: 'The usage', schema: keyUsageSchema } },
    errors: ['not_found'],
    handler: async ({ params, query, principal }) => {
      const periods = periodsOf(query, deps.now());
      const { tenant_id: tenantId } = await visibleKey(deps.keys, principal, params.id);
      const counts = await deps.usage.counts({ tenantId, keyId: params.id }, [periods.asked, periods.month]);
      const head = { object: 'api_key_usage', key_id: params.id, tenant_id: tenantId };
      return ok({ ...head, ...toPeriods(counts, periods) });
    },
  });
}

interface Periods {
  asked: DayRange;
  month: DayRange;
  today: string;
}

/** @throws AppError `validation_failed` */
function periodsOf({ from, to }: { from?: string | undefined; to?: string | undefined }, now: Date): Periods {
  const today = dayOf(now);
  const last = to ?? today;
  const asked = { from: from ?? monthOf(startOf(last)), to: last };
  const days = daysIn(asked);
  if (days === 0) throw invalidRange('lies after the last day');
  if (days > USAGE_DAYS_MAX)
    throw invalidRange(`is ${days} days before the last; ${USAGE_DAYS_MAX} are the most`);
  return { asked, month: { from: monthOf(now), to: today }, today };
}

function invalidRange(detail: string): AppError {
  return new AppError('validation_failed', `from: ${detail}`, { errors: [{ parameter: 'from', detail }] });
}

function toPeriods(counts: readonly DayCount[], { asked, month, today }: Periods) {
  return {
    day: { date: today, ...totalsIn(counts, { from: today, to: today }) },
    month: { ...month, ...totalsIn(counts, month) },
    ...asked,
    days: byDay(counts, asked),
  };
}

/** For limits that hold for the tenant as a whole, whichever of its keys asks. */
function tenantAlone(asker: Principal, tenant: TenantUse & { tenantId: string }): Principal {
  const { tenantId, name, plan } = tenant;
  return {
    ...asker,
    tenantId,
    tenantName: name,
    plan,
    limits: { requestsPerMinute: null, requestsPerDay: null },
  };
}

function toRequestLimits(uses: readonly PolicyUse[], now: Date) {
  const minute = uses.find(({ name }) => name === 'minute');
  const day = uses.find(({ name }) => name === 'day');
  return {
    requests_per_minute: {
      ...toRequestLimit(minute),
      resets_at: minute?.endsInMs === undefined ? null : new Date(now.getTime() + minute.endsInMs),
    },
    requests_per_day: {
      ...toRequestLimit(day),
      resets_at: day === undefined ? null : dayEnd(dayOf(now)),
    },
  };
}

function toRequestLimit(use: PolicyUse | undefined) {
  if (use === undefined) return { used: null, allowed: null, remaining: null };
  return { used: use.used, allowed: use.quota, remaining: use.remaining };
}

function toLimits({ plan, itemsReserved, jobsRunning, monthEnd }: TenantUse) {
  const { itemsPerMonth, runningJobs } = plan.limits;
  return {
    items_per_month: {
      ...toLimit(itemsReserved, itemsPerMonth),
      resets_at: itemsPerMonth === null ? null : monthEnd,
    },
    running_jobs: { ...toLimit(jobsRunning, runningJobs), resets_at: null },
  };
}

function toLimit(used: number, allowed: number | null) {
  return { used, allowed, remaining: allowed === null ? null : Math.max(0, allowed - used) };
}
