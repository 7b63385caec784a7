/** Quotas: what a plan allows of something in a period, and what is said when most of it, or all of it, is used. */
import type { QuotaEventType } from '../realtime/event';
import { startOf } from './period';

/** As `GET /v1/usage` names them. */
export const QUOTAS = ['items_per_month', 'requests_per_day'] as const;
export type Quota = (typeof QUOTAS)[number];

/** Of a problem's `violated-policies`, and of `refused` in the usage. */
export const ITEMS_POLICY = 'items-month';

/** `used` of `allowed` in the period from `periodStart` (`YYYY-MM-DD`, UTC) to `periodEnd`. */
export interface QuotaUse {
  tenantId: string;
  quota: Quota;
  used: number;
  allowed: number;
  periodStart: string;
  periodEnd: Date;
}

/** What is to be said once `before` has become `after`: at 80 % and at 100 %, each as it is crossed. */
export function crossings(allowed: number, { before, after }: Growth): QuotaEventType[] {
  const crosses = (reached: (used: number) => boolean): boolean => !reached(before) && reached(after);
  return [
    ...(crosses((used) => used * 5 >= allowed * 4) ? (['quota.warning'] as const) : []),
    ...(crosses((used) => used >= allowed) ? (['quota.exceeded'] as const) : []),
  ];
}

export interface Growth {
  before: number;
  after: number;
}

/** The event's content, and what tells it apart: one of a kind for each tenant, quota, period and limit. */
export function quotaEvent(type: QuotaEventType, use: QuotaUse) {
  const { tenantId, quota, used, allowed, periodStart, periodEnd } = use;
  const data = {
    tenant_id: tenantId,
    quota,
    used,
    allowed,
    period_start: startOf(periodStart).toISOString(),
    period_end: periodEnd.toISOString(),
  };
  return {
    tenantId,
    type,
    subject: tenantId,
    data: JSON.stringify(data),
    occurrence: `${quota}/${periodStart}/${allowed}`,
  };
}

/** Said once of what was refused while there was something left, apart from the crossing that may still come. */
export function refusalEvent(use: QuotaUse) {
  const event = quotaEvent('quota.exceeded', use);
  return { ...event, occurrence: `${event.occurrence}/refused` };
}
