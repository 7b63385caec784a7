/** What was used: requests, items, and requests that a limit or quota refused, by day. */
import type { Plan } from '../key/plans';
import { type DayRange, eachDay } from './period';

/** How much of one metric on one day. */
export interface DayCount {
  /** `YYYY-MM-DD`, UTC */
  day: string;
  metric: 'requests' | 'refused' | 'items';
  /** what refused it; else empty */
  policy: string;
  amount: number;
}

/** As a process that serves requests counts them. */
export interface RequestCount extends DayCount {
  metric: 'requests' | 'refused';
  tenantId: string;
  keyId: string;
}

export interface TenantUse {
  plan: Plan;
  name: string;
  /** of this month */
  itemsReserved: number;
  jobsRunning: number;
  monthEnd: Date;
}

export interface Totals {
  /** served, whatever the answer was */
  requests: number;
  /** items with a result */
  items: number;
  /** requests that were refused, by the policy that did */
  refused: Record<string, number>;
}

/** What was used in a range of days. */
export function totalsIn(counts: readonly DayCount[], { from, to }: DayRange): Totals {
  return sum(counts.filter(({ day }) => day >= from && day <= to));
}

/** Each day of a range, also those without use. */
export function byDay(counts: readonly DayCount[], range: DayRange): ({ date: string } & Totals)[] {
  const days = new Map<string, DayCount[]>();
  for (const count of counts) {
    const known = days.get(count.day);
    if (known === undefined) days.set(count.day, [count]);
    else known.push(count);
  }
  return eachDay(range).map((date) => ({ date, ...sum(days.get(date) ?? []) }));
}

function sum(counts: readonly DayCount[]): Totals {
  const totals: Totals = { requests: 0, items: 0, refused: {} };
  for (const { metric, policy, amount } of counts) {
    if (metric === 'refused') totals.refused[policy] = (totals.refused[policy] ?? 0) + amount;
    else totals[metric] += amount;
  }
  return totals;
}
